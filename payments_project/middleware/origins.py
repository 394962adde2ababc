"""Refuse WebSockets that pages of strangers open.

A browser sends the origin of the page with each handshake (RFC 6455, section 10.2). Apps and backends send none, and
are never refused here: a program that is no browser can send any origin.
"""

import logging
from typing import Any

from django.conf import settings
from django.utils.http import is_same_domain

from access.refusals import Kind, refused
from payments_project.configuration.web_names import is_origin
from payments_project.middleware import handshakes
from payments_project.middleware.hosts import NAME_MAX

logger = logging.getLogger(__name__)


class AllowedOrigins:
    """ASGI middleware for WebSockets: answers a handshake from a page outside ALLOWED_ORIGINS with 403."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a connection, or refuse it before it is accepted."""
        origins = [value.decode("latin1") for name, value in scope["headers"] if name == b"origin"]
        allowed = settings.ALLOWED_ORIGINS
        # A request without an Origin passes: all() of nothing is true.
        if not allowed or all(is_allowed(origin, allowed) for origin in origins):
            await self._application(scope, receive, send)
            return
        shown = ascii(",".join(origins))[1:-1][:NAME_MAX]
        logger.warning(
            "A WebSocket from the origin %s was refused. If its page is yours, add it to ALLOWED_ORIGINS.",
            shown,
        )
        text = f"Pages of {shown} may not connect. If they should, add that origin to ALLOWED_ORIGINS."
        refused(Kind.ORIGIN, scope)
        await handshakes.refuse(scope, receive, send, status=403, text=text)


def is_allowed(origin: str, allowed: list[str]) -> bool:
    """Return whether an origin is among those allowed. One of them may be of a domain with all below it."""
    scheme, _, authority = origin.lower().partition("://")
    return is_origin(origin.lower()) and any(_fits(scheme, authority, each) for each in allowed)


def _fits(scheme: str, authority: str, pattern: str) -> bool:
    wanted_scheme, _, wanted = pattern.partition("://")
    if scheme != wanted_scheme:
        return False
    if not wanted.startswith("."):
        return authority == wanted
    host, colon, port = authority.partition(":")
    wanted_host, wanted_colon, wanted_port = wanted.partition(":")
    return (colon, port) == (wanted_colon, wanted_port) and is_same_domain(host, wanted_host)

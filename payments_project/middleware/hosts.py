"""Refuse requests for a host name outside ALLOWED_HOSTS, and name the host and the setting.

Django would answer with a bare 400, or with a traceback if DEBUG is on, and log a traceback.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from access.refusals import Kind, refused
from payments_project.middleware import handshakes
from payments_project.middleware.outages import FOR_PROGRAMS

logger = logging.getLogger(__name__)

NAME_MAX = 100
"""Characters of a host name that are shown and logged: a stranger may send anything."""


def known_hosts(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Let requests for one of ALLOWED_HOSTS pass, as middleware."""

    def checked(request: HttpRequest) -> HttpResponse:
        name = _unknown(request)
        if name is None:
            return get_response(request)
        _log(name, request)
        return _refusal(request, name)

    return checked


def is_known(scope: Any) -> bool:
    """Return whether an ASGI request asks for one of ALLOWED_HOSTS."""
    return _unknown(_request(scope)) is None


class KnownHosts:
    """ASGI middleware for WebSockets: answers a handshake for an unknown host with 400, as an HTTP request."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a connection, or refuse it before it is accepted."""
        name = _unknown(_request(scope))
        if name is None:
            await self._application(scope, receive, send)
            return
        _log(name, scope)
        await handshakes.refuse(scope, receive, send, status=400, text=_message(name))


def _request(scope: Any) -> HttpRequest:
    """Return as much of an ASGI request as Django reads its host from."""
    request = HttpRequest()
    name, port = scope.get("server") or ("", 0)
    request.META = {"SERVER_NAME": name, "SERVER_PORT": str(port)}
    # Two Host fields together are the name of no host, and are refused (RFC 9112, section 3.2).
    hosts = [value.decode("latin1") for field, value in scope["headers"] if field == b"host"]
    if hosts:
        request.META["HTTP_HOST"] = ",".join(hosts)
    return request


def _unknown(request: HttpRequest) -> str | None:
    """Return the host name that a request asks for, fit to be shown, unless it is one of ALLOWED_HOSTS."""
    try:
        request.get_host()
    except DisallowedHost:
        # Escaped, because a stranger chose it, and people and terminals read it.
        return ascii(request.META.get("HTTP_HOST", ""))[1:-1][:NAME_MAX]
    return None


def _log(name: str, connection: HttpRequest | Mapping[str, Any]) -> None:
    refused(Kind.HOST, connection)
    logger.warning(
        "A request for the host %s was refused. If that is this service, add it to ALLOWED_HOSTS.", name
    )


def _message(name: str) -> str:
    return f"This service does not answer to the host {name}. If it should, add it to ALLOWED_HOSTS."


def _refusal(request: HttpRequest, name: str) -> HttpResponse:
    message = _message(name)
    if request.path_info.startswith(FOR_PROGRAMS):
        return JsonResponse({"error": {"code": "unknown_host", "message": message}}, status=400)
    if "text/html" not in request.headers.get("Accept", ""):  # not a browser
        return HttpResponse(f"{message}\n", content_type="text/plain; charset=utf-8", status=400)
    host = name.partition(":")[0] if not name.startswith("[") else name.partition("]")[0] + "]"
    shown = {"name": name, "setting": ",".join([*settings.ALLOWED_HOSTS, host]) if settings.DEBUG else ""}
    return render(request, "unknown_host.html", shown, status=400)

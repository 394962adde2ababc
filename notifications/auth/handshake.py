"""Read what a WebSocket's handshake says about its client: subprotocols, login and origin. No I/O.

A browser lets a page choose no other part of the handshake than the address, which ends up in logs, and the
subprotocols.
"""

from typing import Any, NamedTuple

from django.conf import settings
from django.http import parse_cookie

BEARER = "bearer."
"""A subprotocol with this prefix carries a token. A subprotocol may have all characters of a JWT."""


class Handshake(NamedTuple):
    """The client's offers: the subprotocol to select, a token, and the key of its login's session.

    `is_ours`: a page of this service opened the connection.
    """

    subprotocol: str | None
    token: str | None
    session_key: str | None
    is_ours: bool


def read(scope: Any) -> Handshake:
    """Read an ASGI scope."""
    offered = [name for name in scope.get("subprotocols", ()) if name]
    tokens = [name.removeprefix(BEARER) for name in offered if name.startswith(BEARER)]
    headers = scope.get("headers", ())
    # ASGI passes the field as often as it came, and HTTP/2 may split it (RFC 9113, section 8.2.3).
    cookies = "; ".join(value.decode("latin1") for name, value in headers if name == b"cookie")
    origins = [value.decode("latin1") for name, value in headers if name == b"origin"]
    return Handshake(
        subprotocol=_selected(offered),
        token=tokens[0] if tokens else None,
        session_key=parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME),
        # With two values it is not known whose page it was.
        is_ours=len(origins) == 1 and origins[0] in settings.CSRF_TRUSTED_ORIGINS,
    )


def _selected(offered: list[str]) -> str | None:
    """Return the first that carries no token, so that the answer repeats none; else the first.

    Browsers fail a connection if the server selects none of the offered subprotocols
    (https://websockets.spec.whatwg.org/#concept-websocket-establish). The frames are the same with any.
    """
    names = [name for name in offered if not name.startswith(BEARER)]
    return next(iter(names or offered), None)

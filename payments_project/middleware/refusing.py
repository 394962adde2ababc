"""Refuse a request before the application has read it, in the API's shape, so that the client can read the answer."""

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple

import orjson
from prometheus_client import Counter

from payments_project.middleware.headers import NOT_STORED, safe_fields

LINGER_SECONDS = 5.0
"""A refused client may go on sending for this time. If the connection were closed at once, it would lose the answer."""
LINGER_QUIET_SECONDS = 0.5
"""A refused client may send nothing for this time. Then it waits for the answer, or for the end of the connection."""
LINGER_MAX_BYTES = 16 * 1024 * 1024
"""A refused client may go on to send this much. All of it is dropped."""
RETRY_AFTER = b"5"
"""Seconds after which a client may try again if the service was busy."""

REFUSED = Counter(
    "payments_http_refused_total", "HTTP requests that were refused before they were read.", ["reason"]
)


class Refusal(NamedTuple):
    """An error answer: the HTTP status, and the API's code and message."""

    status: int
    code: str
    message: str

    @property
    def body(self) -> bytes:
        """The JSON body."""
        return orjson.dumps({"error": {"code": self.code, "message": self.message}})

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The header fields. The connection is closed after the answer."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self.body)),
            (b"connection", b"close"),
            NOT_STORED,
            *safe_fields(),
        ]
        if self.status in {429, 503}:
            headers.append((b"retry-after", RETRY_AFTER))
        return headers


async def answer(refusal: Refusal, *, receive: Any, send: Any, is_whole: bool = False) -> None:
    """Send a refusal over ASGI. End it once the client has sent all, LINGER_MAX_BYTES, or nothing for a moment.

    `is_whole`: the request's body has been read to its end.
    """
    REFUSED.labels(reason=refusal.code).inc()
    await send({"type": "http.response.start", "status": refusal.status, "headers": refusal.headers})
    # All of the answer, but not its end: at its end the server closes, and a connection that is closed with bytes
    # unread is reset, by which the client loses the answer (docs/decisions/0032).
    await send({"type": "http.response.body", "body": refusal.body, "more_body": True})
    if not is_whole:
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await _drop_rest(receive)
    await send({"type": "http.response.body", "body": b""})


async def _drop_rest(receive: Any) -> None:
    left, more = LINGER_MAX_BYTES, True
    while more and left > 0:
        async with asyncio.timeout(LINGER_QUIET_SECONDS):
            message = await receive()
        left -= len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)

"""How a request is refused before the application has read it: in the API's shape, and so that the client can read it."""

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple

import orjson
from prometheus_client import Counter

LINGER_SECONDS = 5.0
"""How long a client that is refused may go on sending. A connection that is closed before loses the answer."""
LINGER_MAX_BYTES = 16 * 1024 * 1024
"""How much such a client may go on sending. Nothing of it is kept."""
RETRY_AFTER = b"5"
"""Seconds after which a client that met a busy service may come again."""

REFUSED = Counter(
    "payments_http_refused_total", "HTTP requests that were refused before they were read.", ["reason"]
)


class Refusal(NamedTuple):
    status: int
    code: str
    message: str

    @property
    def body(self) -> bytes:
        return orjson.dumps({"error": {"code": self.code, "message": self.message}})

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self.body)),
            (b"connection", b"close"),
        ]
        if self.status == 503:  # noqa: PLR2004
            headers.append((b"retry-after", RETRY_AFTER))
        return headers


async def answer(refusal: Refusal, *, receive: Any, send: Any, is_whole: bool = False) -> None:
    """Send a refusal over ASGI and end the connection, once the client has sent all or enough.

    `is_whole`: the request's body has been read to its end.
    """
    REFUSED.labels(reason=refusal.code).inc()
    await send({"type": "http.response.start", "status": refusal.status, "headers": refusal.headers})
    await send({"type": "http.response.body", "body": refusal.body, "more_body": True})
    if not is_whole:
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await _read_away(receive)
    await send({"type": "http.response.body", "body": b""})


async def _read_away(receive: Any) -> None:
    left, more = LINGER_MAX_BYTES, True
    while more and left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)

"""Refuse the handshake of a WebSocket with an HTTP answer."""

from typing import Any

from payments_project.middleware.headers import safe_fields


async def refuse(scope: Any, receive: Any, send: Any, *, status: int, text: str, **fields: str) -> None:
    """Answer with a line of text. `fields`: further header fields. Servers that send no answer then send 403."""
    # An ASGI server sends its connect event before it takes an answer.
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1000, "reason": None})
        return
    body = f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *safe_fields(),
        *((name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()),
    ]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})

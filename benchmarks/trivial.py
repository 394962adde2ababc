"""`python -m benchmarks.trivial`: the least that can answer the load generator, to see the generator's own limit.

It prints its port. It checks and stores nothing: a webhook is answered, and its frame goes to the user's WebSocket.
"""

import asyncio
import base64
import hashlib
import json
from typing import cast

import uvloop

from .ports import free_port
from .rides import number_in

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SHORT = 126
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Trivial(asyncio.Protocol):
    """One connection, of either kind."""

    users: dict[int, asyncio.Transport] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""
        self._is_websocket = False

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._is_websocket:
            self._register()
            return
        end = self._buffer.find(b"\r\n\r\n")
        at = self._buffer.find(b"Content-Length: ", 0, end)
        length = int(self._buffer[at + 16 : self._buffer.index(b"\r\n", at)]) if at >= 0 else 0
        if end < 0 or len(self._buffer) < end + 4 + length:
            return
        request, self._buffer = self._buffer, b""
        if request.startswith(b"GET /basic/ws "):
            self._accept(request)
        else:
            self._transport.write(_ANSWER)
            self._push(request)

    def _accept(self, request: bytes) -> None:
        key = request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        accept = base64.b64encode(hashlib.sha1(key + _MAGIC).digest())  # noqa: S324 RFC 6455 says so
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self._transport.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self._is_websocket = True

    def _register(self) -> None:
        """Take the client's one frame, a short text."""
        frame, self._buffer = self._buffer, b""
        if frame[0] & 15 != 1:
            self._transport.close()
            return
        key, payload = frame[2:6], frame[6:]
        text = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
        self.users[int(json.loads(text)["userId"].removeprefix("user-"))] = self._transport
        self._send(self._transport, b'{"type":"registration_success"}')

    def _push(self, request: bytes) -> None:
        number = number_in(request.replace(b'"ride_id"', b'"rideId"', 1))
        user = self.users.get(number % len(self.users)) if self.users and number >= 0 else None
        if user is not None:
            text = b'{"type":"payment_status_update","rideId":"ride-%d","status":"succeeded"}' % number
            self._send(user, text)

    def _send(self, transport: asyncio.Transport, text: bytes) -> None:
        transport.write(bytes((0x81, len(text))) + text)


async def main() -> None:
    """Serve until the process is ended."""
    port = free_port()
    server = await asyncio.get_running_loop().create_server(Trivial, "127.0.0.1", port, backlog=1024)
    print(port, flush=True)  # noqa: T201 so the port is known
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())

"""A WebSocket client that costs little: no object per frame, small text frames only (RFC 6455)."""

import asyncio
import base64
import os
from collections.abc import Callable
from typing import Protocol, cast

_TEXT, _CLOSE, _PING = 1, 8, 9
_SHORT, _MEDIUM = 126, 127


class Listener(Protocol):
    """What is called with what becomes of a client."""

    def opened(self, client: "Client") -> None: ...
    def received(self, client: "Client", text: bytes) -> None: ...
    def closed(self, client: "Client") -> None: ...


class Client(asyncio.Protocol):
    """The connection of one user."""

    __slots__ = ("_buffer", "_is_open", "listener", "transport", "user")

    def __init__(self, *, user: int, listener: Listener) -> None:
        self.user = user
        self.listener = listener
        self.transport: asyncio.Transport | None = None
        self._buffer = b""
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(_HANDSHAKE)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 asyncio's signature
        self.transport = None
        self.listener.closed(self)

    def say(self, frame: bytes) -> None:
        """Send a frame that `masked` has made."""
        if self.transport is not None:
            self.transport.write(frame)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        if not self._is_open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self._hang_up()
                return
            self._is_open = True
            data = data[end + 4 :]
            self.listener.opened(self)
        self._read_frames(data)

    def _read_frames(self, data: bytes) -> None:
        at, size = 0, len(data)
        while size - at >= 2:  # noqa: PLR2004 the shortest frame
            length, start = data[at + 1], at + 2
            if length == _SHORT:
                length, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif length == _MEDIUM:
                length, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if start > size or start + length > size:
                break
            self._take(data[at] & 15, data[start : start + length])
            at = start + length
        if at < size:
            self._buffer = data[at:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == _TEXT:
            self.listener.received(self, payload)
        elif opcode == _PING:
            self.say(masked(payload, opcode=10))
        elif opcode == _CLOSE:
            self.say(masked(payload, opcode=_CLOSE))
            self._hang_up()

    def _hang_up(self) -> None:
        if self.transport is not None:
            self.transport.close()


_HANDSHAKE = (
    b"GET /basic/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n\r\n"
)


def masked(payload: bytes, *, opcode: int = _TEXT) -> bytes:
    """Return a client's frame."""
    length = len(payload)
    key = os.urandom(4)
    pattern = (key * (length // 4 + 1))[:length]
    # As one number: byte by byte it would cost the generator more than all else of a frame.
    body = (int.from_bytes(payload) ^ int.from_bytes(pattern)).to_bytes(length)
    if length < _SHORT:
        head = bytes((0x80 | opcode, 0x80 | length))
    else:
        head = bytes((0x80 | opcode, 0x80 | _SHORT)) + length.to_bytes(2)
    return head + key + body


CLOSE = masked((1000).to_bytes(2), opcode=_CLOSE)
Registration = Callable[[int], bytes]
"""Returns the masked frame with which a user registers, by the user's number."""

"""Send frames to one client, and close connections."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from notifications import metrics
from notifications.protocol import CloseCode

CLOSE_SIZE = 100
SPREAD_SECONDS = 5.0
"""The longest time over which many closes are spread, so that the clients do not all come back at once."""
PAUSE_SECONDS = 0.05


class ClientGoneError(Exception):
    """The connection has ended, or is being closed: nothing can be sent."""


class Socket:
    """Sends frames over one WebSocket until it has ended."""

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Wrap the server's `send`, which takes ASGI events (https://asgi.readthedocs.io/en/latest/specs/www.html)."""
        self.has_ended = False
        self._send = send

    async def accept(self, *, subprotocol: str | None) -> None:
        """Accept the connection, or raise ClientGoneError."""
        await self._transmit({"type": "websocket.accept", "subprotocol": subprotocol})

    async def send(self, text: str) -> None:
        """Send a frame, or raise ClientGoneError."""
        await self._transmit({"type": "websocket.send", "text": text})

    async def close(self, code: CloseCode, *, reason: str = "") -> None:
        """Close the connection, unless it has ended. `reason` is for people, of at most 123 bytes."""
        with suppress(ClientGoneError):
            await self._transmit({"type": "websocket.close", "code": int(code), "reason": reason})
            metrics.CLOSED.labels(int(code)).inc()

    async def _transmit(self, event: dict[str, Any]) -> None:
        """Pass an event to the server. Each server raises an exception of its own when the connection has ended."""
        if self.has_ended:
            raise ClientGoneError
        # Before the server gets it: no task may send a frame behind the close while this one waits.
        self.has_ended = event["type"] == "websocket.close"
        try:
            await self._send(event)
        except Exception as error:
            self.has_ended = True
            raise ClientGoneError from error


async def close_all(sockets: Sequence[Socket]) -> set[asyncio.Task[None]]:
    """Close connections with 4412, a batch at a time over at most SPREAD_SECONDS; return the tasks that close them."""
    batches = [sockets[n : n + CLOSE_SIZE] for n in range(0, len(sockets), CLOSE_SIZE)]
    pause = min(PAUSE_SECONDS, SPREAD_SECONDS / max(len(batches), 1))
    farewells = set()
    for batch in batches:
        farewells |= {asyncio.create_task(socket.close(CloseCode.GOING_AWAY)) for socket in batch}
        await asyncio.sleep(pause)
    return farewells

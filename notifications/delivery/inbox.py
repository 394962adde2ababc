"""What waits between the channel layer and one connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

WAITING_MAX = 64


class Inbox:
    """A bounded queue with one reader, which runs only while something waits.

    Layers keep what is not read yet, without a bound. So it is read at once, whatever its client does meanwhile.
    """

    def __init__(self, handle: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Messages are handed to `handle` one after the other. It may take its time, and raises nothing."""
        self._handle = handle
        self._waiting: list[dict[str, Any]] = []
        self._reader: asyncio.Task[None] | None = None

    def put(self, message: dict[str, Any]) -> None:
        """Take a message. Of more than WAITING_MAX the newest is kept: what is lost is in the feed."""
        if len(self._waiting) == WAITING_MAX:
            self._waiting.pop()
        self._waiting.append(message)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())

    def close(self) -> None:
        """Handle nothing more."""
        self._waiting.clear()
        if self._reader:
            self._reader.cancel()

    async def _read(self) -> None:
        while self._waiting:
            await self._handle(self._waiting.pop(0))

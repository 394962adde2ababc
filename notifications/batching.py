"""Does together what gathers: one task works on batches, and ends when nothing waits."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")


class Batcher(Generic[_Item]):
    """A bounded queue of one event loop, whose items are worked on many at a time, one batch after the other.

    An item that finds nothing at work is worked on at once. Items that come meanwhile make the next batch.
    """

    def __init__(
        self,
        work: Callable[[list[_Item]], Awaitable[None]],
        *,
        size: int,
        room: int,
        pause_seconds: float = 0.0,
    ) -> None:
        """Call `work` with at most `size` items. At most `room` items wait; `pause_seconds` pass between batches."""
        self._work = work
        self._size = size
        self._room = room
        self._pause_seconds = pause_seconds
        self._waiting: deque[_Item] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, *items: _Item) -> int:
        """Queue items in their order. Returns how many of the last found no room, and are dropped."""
        free = max(self._room - len(self._waiting), 0)
        self._waiting.extend(items[:free])
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return max(len(items) - free, 0)

    async def _run(self) -> None:
        while self._waiting:
            count = min(self._size, len(self._waiting))
            try:
                await self._work([self._waiting.popleft() for _ in range(count)])
            except Exception:
                logger.exception("A batch of work failed.")
            if self._pause_seconds:
                await asyncio.sleep(self._pause_seconds)

"""Work on queued items in batches: one task works, and ends when the queue is empty."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

QUERY_SIZE = 500
"""Users, or their logins, in one query."""
GATHER_SECONDS = 0.02
"""Queries for many users are this far apart, so that users gather in between."""

_Item = TypeVar("_Item")


class Batcher(Generic[_Item]):
    """A bounded queue of one event loop, worked on in batches, one after the other.

    An idle batcher starts on a new item at once. Items that arrive during a batch form the next one.
    """

    def __init__(
        self,
        work: Callable[[list[_Item]], Awaitable[None]],
        *,
        size: int,
        room: int,
        pause_seconds: float = 0.0,
    ) -> None:
        """Call `work` with at most `size` items. At most `room` items wait. Batches are `pause_seconds` apart."""
        self._work = work
        self._size = size
        self._room = room
        self._pause_seconds = pause_seconds
        self._waiting: deque[_Item] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, *items: _Item) -> int:
        """Queue items in their order. Drop the last ones if there is no room, and return how many were dropped."""
        free = max(self._room - len(self._waiting), 0)
        self._waiting.extend(items[:free])
        # No await lies between the task's last look at the queue and its end: no item can be left behind.
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return max(len(items) - free, 0)

    async def _run(self) -> None:
        while self._waiting:
            count = min(self._size, len(self._waiting))
            try:
                await self._work([self._waiting.popleft() for _ in range(count)])
            except Exception:
                # The items behind it still have to be worked on.
                logger.exception("A batch of work failed.")
            if self._pause_seconds:
                await asyncio.sleep(self._pause_seconds)

"""Where feeds stand, for connections that register: those that come together are read together.

When a worker dies all its clients register with the others at once. One query for many costs little more than one
for each.
"""

import asyncio
from typing import NamedTuple
from weakref import WeakKeyDictionary

from notifications import feed
from notifications.delivery.threads import in_thread

BATCH_SIZE = 500
PAUSE_SECONDS = 0.02
"""The least time from one read to the next, in which those who come gather."""
PATIENCE_SECONDS = 0.5
"""How long those that come later wait for a read that takes its time. Then theirs goes on beside it."""


async def read_position(*, user_id: str) -> feed.Position:
    """Return how far the user's feed goes, not before this is called. Raises a DatabaseError."""
    loop = asyncio.get_running_loop()
    if loop not in _readers:
        _readers[loop] = _Reader()
    return await _readers[loop].read(user_id)


class _Request(NamedTuple):
    user_id: str
    answer: asyncio.Future[feed.Position]


class _Reader:
    """Reads for all that gathered since the last read began; its task ends when nobody waits."""

    def __init__(self) -> None:
        self._waiting: list[_Request] = []
        self._task: asyncio.Task[None] | None = None

    async def read(self, user_id: str) -> feed.Position:
        request = _Request(user_id, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await request.answer

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_SIZE], self._waiting[BATCH_SIZE:]
            await asyncio.wait({asyncio.create_task(_answer(batch))}, timeout=PATIENCE_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)


async def _answer(batch: list[_Request]) -> None:
    waiting = [request for request in batch if not request.answer.done()]
    try:
        positions = await in_thread(feed.read_positions, user_ids={request.user_id for request in waiting})
    except Exception as error:  # noqa: BLE001 it is for those who wait
        for request in waiting:
            if not request.answer.done():
                request.answer.set_exception(error)
    else:
        for request in waiting:
            if not request.answer.done():
                request.answer.set_result(positions[request.user_id])


_readers: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Reader]" = WeakKeyDictionary()

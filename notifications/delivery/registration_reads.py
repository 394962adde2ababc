"""Read the feed states of connections that register, with one query for a batch.

When a worker dies, all its clients register with the other workers at once. One query for many users costs little more
than a query for one.
"""

import asyncio
from typing import NamedTuple

from django.db import OperationalError

from database.threads import in_thread
from notifications.batching import GATHER_SECONDS, QUERY_SIZE, Batcher
from notifications.delivery import history
from notifications.delivery.states import FeedState
from notifications.fanout.breaker import TIMEOUT_SECONDS

WAITING_MAX = 100_000
"""More than a process can have connections."""
PATIENCE_SECONDS = 0.5
"""The next batch waits this long for a slow read. Then both run at the same time."""


class _Request(NamedTuple):
    user_id: str
    after: asyncio.Task[None]
    answer: asyncio.Future[FeedState]


class RegistrationReads:
    """The reads of one event loop."""

    def __init__(self) -> None:
        self._batcher = Batcher(self._read, size=QUERY_SIZE, room=WAITING_MAX, pause_seconds=GATHER_SECONDS)

    async def read_state(self, *, user_id: str, after: asyncio.Task[None]) -> FeedState:
        """Return the state of the user's feed, read after this task ended, or TIMEOUT_SECONDS later.

        Raises a DatabaseError.
        """
        request = _Request(user_id, after, asyncio.get_running_loop().create_future())
        if self._batcher.put(request):
            raise OperationalError("Too many registrations wait for the database.")
        return await request.answer

    async def _read(self, batch: list[_Request]) -> None:
        await asyncio.wait({asyncio.create_task(_answer(batch))}, timeout=PATIENCE_SECONDS)


async def _answer(batch: list[_Request]) -> None:
    # wait() cancels nothing: a cancelled call breaks the connection to Redis for all. Without the layer registrations go
    # on, and the reconciler delivers. Most wait for the same task, so all wait together.
    await asyncio.wait({request.after for request in batch}, timeout=TIMEOUT_SECONDS)
    # The future of a cancelled registration is done. So it may be after the read.
    waiting = [request for request in batch if not request.answer.done()]
    read = in_thread(history.read_states, user_ids={request.user_id for request in waiting})
    # The error of one read is the answer to all of the batch.
    (states,) = await asyncio.gather(read, return_exceptions=True)
    for request in waiting:
        if request.answer.done():
            continue
        if isinstance(states, BaseException):
            request.answer.set_exception(states)
        else:
            request.answer.set_result(states[request.user_id])

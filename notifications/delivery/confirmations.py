"""How far plain clients have got their notifications: watched on each connection, written down in batches.

A client of the guide acknowledges nothing. That a frame arrived is concluded from what its connection does next.
"""

import asyncio
import logging
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import Error as DatabaseError

from database.errors import describe
from notifications import feed
from notifications.delivery.threads import in_writing_thread

logger = logging.getLogger(__name__)

WATCHED_MAX = 64
"""How many sent notifications of a connection are told apart."""
CROSSING_SECONDS = (0.3, 1.0)
"""The least and the longest time for which a frame and a client's close may cross each other on the way."""
TICK_SECONDS = 0.1
GATHER_SECONDS = 0.02
RETRY_SECONDS = 1.0
BATCH_SIZE = 500
TRIES = 10
"""How often a feed that others hold locked is tried. Given up, a notification is sent once more."""
SETTLE_SECONDS = 2.0


def window_seconds() -> float:
    """Return how long a connection that is dead can seem to live: until a ping is due, and its answer is not."""
    return float(2 * settings.WEBSOCKET_PING_SECONDS + 5)


class Clock:
    """Seconds that this process has really run, as far as it was seen to: while it stands still, so does the clock.

    A process that is stopped, or whose event loop is held up, can neither ping nor hear that a client has gone.
    """

    def __init__(self) -> None:
        self.now = 0.0

    async def run(self) -> None:
        """Let it go, until cancelled."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.now += min(loop.time() - last, 2 * TICK_SECONDS)
            last = loop.time()


def clock() -> Clock:
    """Return the clock of the running event loop."""
    return _clocks.setdefault(asyncio.get_running_loop(), Clock())


class Receipt:
    """What one connection was sent, and since when. Times are seconds of a Clock.

    A notification counts as delivered once its connection has outlived the ping window after it: a ping went out
    behind it and was answered. Or the client closed the connection cleanly, later than the two could cross.
    """

    def __init__(self, *, round_trip: float) -> None:
        """`round_trip` is how long the client took to answer something, in seconds."""
        self._crossing = min(max(2 * round_trip, CROSSING_SECONDS[0]), CROSSING_SECONDS[1])
        self._sent: list[tuple[int, float]] = []

    def sent(self, seq: int, *, at: float) -> None:
        """Note that everything up to this number was sent."""
        if len(self._sent) == WATCHED_MAX:
            self._sent.pop()
        self._sent.append((seq, at))

    def outlived(self, *, now: float) -> int | None:
        """Return the number up to which everything has come to be delivered, if there is a new one."""
        return self._take(now - window_seconds())

    def closed(self, *, now: float) -> int | None:
        """Return the same after the client closed the connection cleanly."""
        return self._take(now - self._crossing)

    def _take(self, until: float) -> int | None:
        confirmed = None
        while self._sent and self._sent[0][1] <= until:
            confirmed, _ = self._sent.pop(0)
        return confirmed


def confirm(*, user_id: str, seq: int, epoch: str) -> None:
    """Have written down, soon, that a plain client of the user has got everything up to this number of this epoch."""
    loop = asyncio.get_running_loop()
    if loop not in _writers:
        _writers[loop] = _Writer()
    _writers[loop].add(user_id, seq, epoch)


async def settled() -> None:
    """Return when all that was confirmed so far is written, or that took too long."""
    writer = _writers.get(asyncio.get_running_loop())
    if writer and writer.task:
        await asyncio.wait({writer.task}, timeout=SETTLE_SECONDS)


class _Writer:
    """Writes what has gathered since it last wrote; its task ends when there is nothing."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self._numbers: dict[str, int] = {}
        self._epoch = ""
        self._tries = 0

    def add(self, user_id: str, seq: int, epoch: str) -> None:
        if epoch != self._epoch:  # numbers of the one before do not count any more
            self._numbers, self._epoch = {}, epoch
        self._numbers[user_id] = max(seq, self._numbers.get(user_id, 0))
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        while self._numbers:
            users = list(self._numbers)[:BATCH_SIZE]
            batch = {user_id: self._numbers.pop(user_id) for user_id in users}
            epoch = self._epoch
            left = await self._write(batch, epoch)
            if epoch != self._epoch:
                continue
            self._tries = self._tries + 1 if left.keys() == batch.keys() else 0
            if self._tries >= TRIES:
                self._tries = 0
                continue
            for user_id, seq in left.items():
                self._numbers[user_id] = max(seq, self._numbers.get(user_id, 0))
            await asyncio.sleep(RETRY_SECONDS if left else GATHER_SECONDS)

    async def _write(self, batch: dict[str, int], epoch: str) -> dict[str, int]:
        """Return what could not be written for now."""
        try:
            busy = await in_writing_thread(feed.confirm, batch, epoch=epoch)
        except DatabaseError as error:
            logger.warning("Confirmations could not be written, and are tried again: %s", describe(error))
            return batch
        return {user_id: batch[user_id] for user_id in busy}


_clocks: "WeakKeyDictionary[asyncio.AbstractEventLoop, Clock]" = WeakKeyDictionary()
_writers: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Writer]" = WeakKeyDictionary()

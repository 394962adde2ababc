"""Compare the hub's connections with the feeds in the database, once a second.

So a lost wake, a crash between commit and wake, an outage of Redis or a command in another process delays a
notification by a second, and loses none.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from django.db import Error as DatabaseError

from database.errors import describe
from database.threads import in_thread
from notifications import metrics
from notifications.batching import QUERY_SIZE, Batcher
from notifications.delivery import history
from notifications.delivery.receipts import TICK_SECONDS, UptimeClock
from notifications.delivery.socket import close_all
from notifications.delivery.subscription import Subscription

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
WAITING_MAX = 1000
"""Groups that wait for an immediate comparison. Further ones are compared within a second anyway."""


class Reconciler:
    """Compares one hub's connections, between `start` and `stop`."""

    def __init__(
        self, *, read_groups: Callable[[], Mapping[str, set[Subscription]]], clock: UptimeClock
    ) -> None:
        """Take the hub's method that returns its connections, by their users' groups, and the clock to tick."""
        self._read_groups = read_groups
        self._clock = clock
        self._soon = Batcher(self._compare_quietly, size=QUERY_SIZE, room=WAITING_MAX)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_failing = False
        self._farewell: asyncio.Task[object] | None = None

    def start(self) -> None:
        """Start to compare each second."""
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._tick())]

    def stop(self) -> None:
        """Stop comparing."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def compare_soon(self, group: str) -> None:
        """Compare the connections of this group now, together with other groups that wait."""
        self._soon.put(group)

    async def compare(self, groups: Sequence[str]) -> None:
        """Compare the connections of these groups with their users' feeds. Raises a DatabaseError.

        Connections that take their place while the feeds are read are left out: they may be ahead of them.
        """
        ended: list[Subscription] = []
        for start in range(0, len(groups), QUERY_SIZE):
            chunk = groups[start : start + QUERY_SIZE]
            # Looked up for each chunk: connections come and go while the chunk before is read.
            members = [one for group in chunk for one in self._read_groups().get(group, ()) if one.is_live]
            # Noted before the read: a number that is sent meanwhile is not yet in what was read, and would look lost.
            sent = [(subscription, subscription.cursor.seq) for subscription in members]
            user_ids = list({subscription.user_id for subscription in members})
            states = await in_thread(history.read_rows, user_ids=user_ids)
            for subscription, seq in sent:
                state = states[subscription.user_id]
                if subscription.epoch == state.epoch:
                    subscription.compare(state, sent=seq)
                elif subscription.is_live:
                    ended.append(subscription)
        if ended:
            self._send_away(ended)

    async def _compare_quietly(self, groups: Sequence[str]) -> None:
        with suppress(DatabaseError):  # the comparison each second logs it
            await self.compare(groups)

    def _send_away(self, ended: Sequence[Subscription]) -> None:
        """Stop and close connections of an epoch that has ended."""
        for subscription in ended:
            subscription.stop()
        logger.warning(
            "The feeds' numbers have a new epoch: clients are sent away to resume (%s).", len(ended)
        )
        # The event loop holds its tasks weakly: the reference keeps this one until it is done.
        self._farewell = asyncio.create_task(close_all([subscription.socket for subscription in ended]))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            for members in self._read_groups().values():
                for subscription in members:
                    subscription.confirm_outlived()
            try:
                await self.compare(list(self._read_groups()))
            except DatabaseError as error:
                metrics.READ_FAILURES.inc()
                if not self._is_failing:  # once an outage, not once a second
                    logger.warning("The feeds cannot be read: %s; trying on every second.", describe(error))
                self._is_failing = True
            except Exception:
                logger.exception("The connections could not be compared with the feeds.")
            else:
                if self._is_failing:
                    logger.warning("The feeds can be read again.")
                self._is_failing = False

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._clock.tick(loop.time() - last)
            last = loop.time()

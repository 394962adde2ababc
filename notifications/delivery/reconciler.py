"""Compares the connections of this process with the feeds in the database, once a second.

Whatever the channel layer loses, a crash between commit and wake, a Redis that restarts or is not there, a
command in another process, costs a connection a second and no notification. There is one task for each event
loop, from the first registration until nobody is left: no server has to offer a start-up hook.
"""

import asyncio
import logging
from collections import defaultdict

from django.db import Error as DatabaseError

from database.errors import describe
from notifications import feed, metrics
from notifications.delivery import confirmations, connections
from notifications.delivery.subscription import Subscription
from notifications.delivery.threads import in_thread

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
CHUNK_SIZE = 500

_reconcilers: dict[asyncio.AbstractEventLoop, "_Reconciler"] = {}


def add(subscription: Subscription) -> None:
    """Look after a registered connection from now on."""
    loop = asyncio.get_running_loop()
    if loop not in _reconcilers:
        _reconcilers[loop] = _Reconciler()
    _reconcilers[loop].subscriptions.add(subscription)


def discard(subscription: Subscription) -> None:
    """Look after a connection no more. The last one ends the task."""
    loop = asyncio.get_running_loop()
    reconciler = _reconcilers.get(loop)
    if reconciler is None:
        return
    reconciler.subscriptions.discard(subscription)
    if not reconciler.subscriptions:
        reconciler.task.cancel()
        reconciler.ticking.cancel()
        del _reconcilers[loop]


class _Reconciler:
    def __init__(self) -> None:
        self.subscriptions: set[Subscription] = set()
        self.task = asyncio.create_task(self._run())
        self.ticking = asyncio.create_task(confirmations.clock().run())
        self._failing = False
        self._dismissing: asyncio.Task[object] | None = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            for subscription in self.subscriptions:
                subscription.confirm_outlived()
            try:
                await self._compare()
            except DatabaseError as error:
                metrics.READ_FAILURES.inc()
                if not self._failing:
                    logger.warning("The feeds cannot be read: %s; trying on every second.", describe(error))
                self._failing = True
            except Exception:
                logger.exception("The connections could not be compared with the feeds.")
            else:
                if self._failing:
                    logger.warning("The feeds can be read again.")
                self._failing = False

    async def _compare(self) -> None:
        """Read the heads of all users' feeds here, and hold each connection that was there before against its own.

        One that registers meanwhile may be newer than what was read.
        """
        ended: list[Subscription] = []
        by_user = defaultdict(list)
        for subscription in self.subscriptions:
            by_user[subscription.user_id].append((subscription, subscription.seq))
        user_ids = list(by_user)
        for start in range(0, len(user_ids), CHUNK_SIZE):
            chunk = user_ids[start : start + CHUNK_SIZE]
            epoch, heads = await in_thread(feed.read_truth, user_ids=chunk)
            for user_id, head in heads.items():
                for subscription, seq in by_user[user_id]:
                    if subscription.is_of(epoch):
                        subscription.compare(head, seq=seq)
                    else:
                        ended.append(subscription)
        self._send_away(ended)

    def _send_away(self, ended: list[Subscription]) -> None:
        """Send away who counts in an epoch that has ended. They are sent nothing more from now on."""
        ended = [subscription for subscription in ended if not subscription.is_stopped()]
        if not ended:
            return
        for subscription in ended:
            subscription.stop()
        logger.warning(
            "The feeds' numbers have a new epoch: clients are sent away to resume (%s).", len(ended)
        )
        self._dismissing = asyncio.create_task(connections.dismiss(ended))

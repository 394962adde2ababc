"""Own the connections of this process: one hub for each event loop.

The hub registers connections, routes messages of the channel layer to the connections of a user, has them compared
with the feeds each second, and closes them when the process ends. Its tasks start with the first registration and end
with the last connection, so that no server has to offer a start-up hook.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from django.db import OperationalError

from access import limits
from database.threads import in_thread, in_writing_thread
from notifications import installation
from notifications.delivery import history
from notifications.delivery.confirmations import Confirmations
from notifications.delivery.permission import LoginsWatch
from notifications.delivery.receipts import UptimeClock
from notifications.delivery.reconciler import Reconciler
from notifications.delivery.registration_reads import RegistrationReads
from notifications.delivery.socket import Socket, close_all
from notifications.delivery.states import FeedState
from notifications.delivery.subscription import Subscription
from notifications.fanout import publish, seal
from notifications.fanout.listen import Listener

logger = logging.getLogger(__name__)

EPOCHS_MAX = 3
"""A registration may see this many epochs. With more there are two databases behind one address, and no failover."""
FLUSH_SECONDS = 2.0
"""The end of a connection waits this long until its confirmation is stored."""
POLL_SECONDS = 0.05
PATIENCE_SECONDS = 5.0
"""The last connections may take this long to end after they were closed."""


class Hub:
    """The connections of one event loop."""

    def __init__(self) -> None:
        self.clock = UptimeClock()
        self.listener = Listener(self.deliver)
        self.reads = RegistrationReads()
        self.confirmations = Confirmations()
        self.logins = LoginsWatch()
        # Two registries: `drain` closes clients that have not registered, too, and those have no group.
        self._sockets: set[Socket] = set()
        self._groups: dict[str, set[Subscription]] = {}
        self.reconciler = Reconciler(read_groups=lambda: self._groups, clock=self.clock)

    @contextmanager
    def holding(self, socket: Socket) -> Iterator[None]:
        """Count a connection as open, for `drain`, while the context lasts."""
        self._sockets.add(socket)
        try:
            yield
        finally:
            self._sockets.discard(socket)

    async def register(self, subscription: Subscription) -> None:
        """Join the user's group, then read the feed state and confirm the registration.

        In this order a notification that is committed in between arrives by both, not by neither. Raises
        ClientGoneError; and LimitReached and a DatabaseError, before anything is sent.
        """
        state = await self._join_and_read(subscription)
        if subscription.is_behind(state):
            await _count_replay(subscription.user_id)
        if subscription.is_exclusive:  # before the confirmation: of two clients the later to register wins
            await in_writing_thread(
                history.set_latest_connection,
                user_id=subscription.user_id,
                connection_id=subscription.connection_id,
            )
        await subscription.confirm(state)
        # So that the older connection ends now: without it, its comparison each second would find out.
        if subscription.is_exclusive:
            await publish.request_comparison(group=subscription.group, epoch=subscription.epoch)

    def leave(self, subscription: Subscription) -> None:
        """Send a connection nothing from now on. Leave the user's group with the user's last connection."""
        subscription.stop()
        self._leave_group(subscription)

    async def end(self, subscription: Subscription) -> None:
        """Leave, and wait up to FLUSH_SECONDS until this connection's confirmation is stored."""
        self.leave(subscription)
        if subscription.confirming:
            await asyncio.wait({subscription.confirming}, timeout=FLUSH_SECONDS)

    def deliver(self, message: dict[str, Any]) -> None:
        """Route a message of a user's group to the user's connections. Returns at once."""
        if message["type"] == "feed.sync":
            self.reconciler.compare_soon(message["group"])
        elif message["type"] == "feed.notification":
            self._wake(message["group"], message["epoch"], message["seq"], message["frame"])

    async def drain(self) -> None:
        """Close every connection, a batch at a time; return when all have ended, or PATIENCE_SECONDS later."""
        farewells = await close_all(list(self._sockets))
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while self._sockets and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 there is no one event to wait for
            await asyncio.sleep(POLL_SECONDS)
        # A close can wait for a client that reads nothing: the process does not.
        for farewell in farewells:
            farewell.cancel()

    async def _join_and_read(self, subscription: Subscription) -> FeedState:
        """Join the group and read the feed state; start again if an epoch ended in between."""
        for _ in range(EPOCHS_MAX):
            identity = installation.fresh()
            if identity is None:  # of many concurrent registrations only a few read it
                identity = await in_thread(installation.current)
            subscription.epoch = identity.epoch
            subscription.group = publish.group_name(subscription.user_id, identity)
            self._refuse_many(subscription)
            joined = self._join_group(subscription)
            state = await self.reads.read_state(user_id=subscription.user_id, after=joined)
            if state.epoch == identity.epoch:
                return state
            self._leave_group(subscription)
        raise OperationalError("The database's address leads to several servers in turn.")

    def _refuse_many(self, subscription: Subscription) -> None:
        """Raise LimitReached if the user has as many connections here as it may. A newest one replaces the others."""
        # Counted in this process: a count in Redis would keep the connections of a process that died.
        members = self._groups.get(subscription.group, ())
        if len(members) >= limits.at_once("connections-per-user") and not subscription.is_exclusive:
            raise limits.LimitReached(limits.RETRY_SECONDS)

    def _join_group(self, subscription: Subscription) -> asyncio.Task[None]:
        """Route the group's messages to a connection; return a task that ends once the layer was asked for them."""
        if not self._groups:
            self.reconciler.start()
        self._groups.setdefault(subscription.group, set()).add(subscription)
        return self.listener.join(subscription.group)

    def _leave_group(self, subscription: Subscription) -> None:
        members = self._groups.get(subscription.group, set())
        members.discard(subscription)
        if not members and self._groups.pop(subscription.group, None) is not None:
            self.listener.leave(subscription.group)
            if not self._groups:
                self.reconciler.stop()

    def _wake(self, group: str, epoch: str, seq: int, text: str) -> None:
        for subscription in tuple(self._groups.get(group, ())):
            if epoch != subscription.epoch:
                seal.refuse("epoch")
                self.reconciler.compare_soon(group)  # which of the two has ended is seen in the database
                continue
            try:
                subscription.wake(seq, text)
            except Exception:  # the other connections of the user still have to get it
                logger.exception("A connection could not take a notification.")


async def _count_replay(user_id: str) -> None:
    """Count that a user asks for what was missed. Raises LimitReached."""
    # In a thread, since Redis may take its time. Replays are rare, and expensive for the database anyway.
    if seconds := await asyncio.to_thread(limits.hit, "replays-per-user", user_id):
        raise limits.LimitReached(seconds)


def current() -> Hub:
    """Return the hub of the running event loop."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
    return hub


def is_draining() -> bool:
    """Return whether this process is about to end and takes no new connections."""
    return _is_draining


async def drain() -> None:
    """Close every connection of this event loop, and each new one at once; see Hub.drain."""
    global _is_draining  # noqa: PLW0603 a process ends once
    _is_draining = True
    await current().drain()


_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()
_is_draining = False

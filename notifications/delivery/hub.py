"""This process's connections: one hub for each event loop.

It registers them, routes what the channel layer brings to the connections of a user, has them compared with the feeds
each second, and closes them when the process ends. What it runs begins with the first registration and ends with the
last connection: no server has to offer a start-up hook.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from django.db import OperationalError

from notifications import history, installation
from notifications.delivery.confirmations import Confirmations
from notifications.delivery.receipts import UptimeClock
from notifications.delivery.reconciler import Reconciler
from notifications.delivery.registration_reads import RegistrationReads
from notifications.delivery.socket import Socket, close_all
from notifications.delivery.subscription import Subscription
from notifications.fanout import publish, seal
from notifications.fanout.breaker import TIMEOUT_SECONDS
from notifications.fanout.listen import Listener
from notifications.history import FeedState
from notifications.installation import Identity
from notifications.threads import in_thread, in_writing_thread

logger = logging.getLogger(__name__)

EPOCHS_MAX = 3
"""How many epochs a registration may see. More are no failover, but two databases behind one address."""
SETTLE_SECONDS = 2.0
"""How long the end of a connection waits until what it confirmed is written down."""
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 5.0
"""How long the last connections may take to end after they were closed."""


class Hub:
    """The connections of one event loop."""

    def __init__(self) -> None:
        self.clock = UptimeClock()
        self.listener = Listener(self.deliver)
        self.reads = RegistrationReads()
        self.confirmations = Confirmations()
        self._sockets: set[Socket] = set()
        self._groups: dict[str, set[Subscription]] = {}
        self.reconciler = Reconciler(groups=self._groups, clock=self.clock)

    @property
    def is_idle(self) -> bool:
        """Whether no connection is registered."""
        return not self._groups

    @contextmanager
    def holding(self, socket: Socket) -> Iterator[None]:
        """Know an open connection until it has ended and what it confirmed is written down."""
        self._sockets.add(socket)
        try:
            yield
        finally:
            self._sockets.discard(socket)

    async def register(self, subscription: Subscription) -> None:
        """Join the user's group, then find the place in the feed and confirm the registration.

        The group comes first: what is committed in between is brought by both, not by neither. Raises
        ClientGoneError, and a DatabaseError before anything is sent.
        """
        state = await self._join_and_read(subscription)
        if (
            subscription.is_exclusive
        ):  # before it is confirmed: a client that registers later then claims later
            await in_writing_thread(
                history.set_latest_connection,
                user_id=subscription.user_id,
                connection_id=subscription.connection_id,
            )
        await subscription.confirm(state)
        if subscription.is_exclusive:
            await publish.request_comparison(group=subscription.group, epoch=subscription.epoch)

    def leave(self, subscription: Subscription) -> None:
        """Send a connection nothing from now on, and leave its user's group with the last of the user's."""
        subscription.stop()
        self._leave_group(subscription)

    async def end(self, subscription: Subscription) -> None:
        """Leave, and return when what this connection confirmed is written down, or that took too long."""
        self.leave(subscription)
        if subscription.confirming:
            await asyncio.wait({subscription.confirming}, timeout=SETTLE_SECONDS)

    def deliver(self, message: dict[str, Any]) -> None:
        """Hand a message of a user's group to the user's connections. It returns at once."""
        if message["type"] == "feed.sync":
            self.reconciler.compare_soon(message["group"])
        elif message["type"] == "feed.notification":
            self._wake(message["group"], message["epoch"], message["seq"], message["frame"])

    async def drain(self) -> None:
        """Close every connection, a batch at a time; return when all have ended, or took too long.

        It takes at most SPREAD_SECONDS and PATIENCE_SECONDS.
        """
        farewells = await close_all(list(self._sockets))
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while self._sockets and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 each ends in its way
            await asyncio.sleep(PAUSE_SECONDS)
        for farewell in farewells:
            farewell.cancel()

    async def _join_and_read(self, subscription: Subscription) -> FeedState:
        """Join the group, and read the state of the feed; do it again if an epoch ended in between."""
        for _ in range(EPOCHS_MAX):
            identity = await _identity()
            subscription.epoch = identity.epoch
            subscription.group = publish.group_name(subscription.user_id, identity)
            await asyncio.wait({self._join_group(subscription)}, timeout=TIMEOUT_SECONDS)
            state = await self.reads.read_state(user_id=subscription.user_id)
            if state.epoch == identity.epoch:
                return state
            self._leave_group(subscription)
        raise OperationalError("The database is one server now and another then.")

    def _join_group(self, subscription: Subscription) -> asyncio.Task[None]:
        """Route the group's messages to a connection; return what ends once the channel layer was asked for them."""
        if self.is_idle:
            self.reconciler.start()
        self._groups.setdefault(subscription.group, set()).add(subscription)
        return self.listener.join(subscription.group)

    def _leave_group(self, subscription: Subscription) -> None:
        members = self._groups.get(subscription.group, set())
        members.discard(subscription)
        if not members and self._groups.pop(subscription.group, None) is not None:
            self.listener.leave(subscription.group)
            if self.is_idle:
                self.reconciler.stop()

    def _wake(self, group: str, epoch: str, seq: int, text: str) -> None:
        for subscription in tuple(self._groups.get(group, ())):
            if epoch != subscription.epoch:
                seal.refuse("epoch")
                continue
            try:
                subscription.wake(seq, text)
            except Exception:
                logger.exception("A connection could not take a notification.")


async def _identity() -> Identity:
    """Return this installation's identity. Of many registrations at once, a few read it for all."""
    if fresh := installation.fresh():
        return fresh
    return await in_thread(installation.current)


def current() -> Hub:
    """Return the hub of the running event loop."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
    return hub


def is_draining() -> bool:
    """Tell whether this process is about to end and wants no new connections."""
    return _is_draining


async def drain() -> None:
    """Close every connection of this event loop, and from now on each new one at once; see Hub.drain."""
    global _is_draining  # noqa: PLW0603 a process ends once
    _is_draining = True
    await current().drain()


_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()
_is_draining = False

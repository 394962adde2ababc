"""The fast path: messages over the channel layer to all connections of a user, whatever process they are in.

The channel layer is at most once, and it may be away. Nothing here raises for that, and nothing waits for it
longer than TIMEOUT_SECONDS: what it does not bring, the reconciler does.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync
from channels.layers import BaseChannelLayer, get_channel_layer

from notifications import metrics
from notifications.inbox import Inbox

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 2.0
RETRY_SECONDS = 3.0

_retry_at: WeakKeyDictionary[BaseChannelLayer, float] = WeakKeyDictionary()
"""For each channel layer that failed, when one of us may try it again (seconds of the monotonic clock)."""

_leaving: set[asyncio.Task[None]] = set()
"""Memberships on their way out: the event loop itself would not keep them alive."""


class ChannelLayerAwayError(Exception):
    """The channel layer failed, now or a moment ago. Go on without it; try again after RETRY_SECONDS."""


def group_name(user_id: str) -> str:
    """Return the group of a user's connections: a hash, because Channels refuses names such as `a@b.com`."""
    return "user." + hashlib.sha256(user_id.encode()).hexdigest()


def wake(*, user_id: str, seq: int, frame: str) -> None:
    """Hand a committed notification to the user's connections. Call it from synchronous code.

    In a view under ASGI it runs on the server's event loop, elsewhere on a short-lived one. A client that hangs
    up cancels what its view has running there; what the view does after the commit has to go on.
    """
    message: dict[str, str | int] = {"type": "feed.notification", "seq": seq, "frame": frame}
    try:
        async_to_sync(_send)(group_name(user_id), message)
    except asyncio.CancelledError:
        metrics.WAKE_FAILURES.inc()


async def wake_to_compare(*, user_id: str) -> None:
    """Have the user's connections compare themselves with the feed's row."""
    await _send(group_name(user_id), {"type": "feed.sync"})


async def _send(group: str, message: dict[str, str | int]) -> None:
    """Send to a group. Values are text and numbers alone: serializers choke on others, some in the receiver."""
    try:
        layer = _layer()
        async with _bounded(layer):
            await layer.group_send(group, message)
    except ChannelLayerAwayError:
        metrics.WAKE_FAILURES.inc()


def _layer() -> BaseChannelLayer:
    layer = get_channel_layer()
    if layer is None:
        raise ChannelLayerAwayError("CHANNEL_LAYERS has no default.")
    return layer


@asynccontextmanager
async def _bounded(layer: BaseChannelLayer) -> AsyncIterator[None]:
    """Bound the time of a call to the layer; while the layer is away, let one caller in RETRY_SECONDS try it.

    Else a dead Redis would cost each request and each registration the whole timeout, and each failed call of
    `new_channel` leaves a queue behind in channels-redis. Whatever fails is raised as ChannelLayerAwayError. Only
    the name of its type is logged: Redis quotes what it was sent in some errors, and that may be a payment's link.
    """
    retry_at = _retry_at.get(layer)
    if retry_at is not None:
        if time.monotonic() < retry_at:
            raise ChannelLayerAwayError
        _retry_at[layer] = time.monotonic() + RETRY_SECONDS
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            yield
    except Exception as error:
        if layer not in _retry_at:
            logger.warning("The channel layer fails (%s); the reconciler delivers.", type(error).__name__)
        _retry_at[layer] = time.monotonic() + RETRY_SECONDS
        raise ChannelLayerAwayError from error
    if _retry_at.pop(layer, None):
        logger.warning("The channel layer works again.")


class Membership:
    """A connection's place in a user's group, held by a task of its own.

    Channels opens a layer's channel before it lets a consumer accept: while Redis is away no socket could even
    connect, and each would pay for a channel before it registers. So consumers ask no layer of Channels; they
    are members of their user's group by this, which joins as soon as the layer can.
    """

    def __init__(self, *, user_id: str, deliver: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Start to join. Each message of the group is handed to `deliver`, one after the other."""
        self._group = group_name(user_id)
        self._inbox = Inbox(deliver)
        self._tried = asyncio.Event()
        self._task = asyncio.create_task(self._hold())

    async def tried(self) -> None:
        """Return when the group is joined, or the layer could not do it in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._tried.wait()

    def leave(self) -> None:
        """Deliver no more, and start to leave the group."""
        self._inbox.close()
        self._task.cancel()
        _leaving.add(self._task)
        self._task.add_done_callback(_leaving.discard)

    async def left(self) -> None:
        """Return when the group is left, or the layer could not do it in time."""
        await asyncio.wait({self._task}, timeout=TIMEOUT_SECONDS)

    async def _hold(self) -> None:
        while True:
            try:
                await self._follow(_layer())
            except ChannelLayerAwayError:
                metrics.JOIN_FAILURES.inc()
            except Exception:
                logger.exception("Reading a group failed.")
            self._tried.set()
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, layer: BaseChannelLayer) -> None:
        async with _bounded(layer):
            channel = await layer.new_channel()
        released = False
        try:
            async with _bounded(layer):
                await layer.group_add(self._group, channel)
            self._tried.set()
            while True:
                try:
                    message = await layer.receive(channel)
                except asyncio.CancelledError:
                    released = True
                    raise
                self._inbox.put(message)
        finally:
            await _quit(layer, self._group, channel, released=released)


async def _quit(layer: BaseChannelLayer, group: str, channel: str, *, released: bool) -> None:
    with suppress(Exception):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await layer.group_discard(group, channel)
    if not released:
        await _release(layer, channel)


async def _release(layer: BaseChannelLayer, channel: str) -> None:
    """Give a channel back. Layers do so when its reader is cancelled, and know no other way."""

    async def read() -> None:
        while True:
            await layer.receive(channel)

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)  # until it waits
    reader.cancel()
    with suppress(TimeoutError):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await asyncio.gather(reader, return_exceptions=True)

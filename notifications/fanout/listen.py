"""Receive this process's messages of the channel layer: one channel joins the group of each connected user.

A layer can stop delivering without a sign: its connection to Redis is half open, or a subscription was lost. So the
listener sends messages to itself and to the other processes. If they do not arrive, it starts from nothing: it flushes
the layer, opens a new channel, and joins every group again.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from channels.layers import BaseChannelLayer

from notifications import metrics
from notifications.fanout import seal
from notifications.fanout.breaker import (
    RETRY_SECONDS,
    TIMEOUT_SECONDS,
    ChannelLayerAwayError,
    bounded,
    current,
)
from notifications.fanout.peers import Peers

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
ROUND_BEATS = 2
"""Every second beat begins a round of names, by which processes check that they hear each other."""
UNHEARD_MAX = 3
"""This many beats in a row may be missed."""
LINGER_BEATS = 10
"""The listener stays open for this many beats without groups: the next client may come soon."""
UNREADABLE_SECONDS = 0.1
GROUPS_MAX = 500
"""This many groups are joined or left within one TIMEOUT_SECONDS."""


class Listener:
    """Passes each message of its groups to `deliver`. It is open while there are groups, and LINGER_BEATS longer."""

    def __init__(self, deliver: Callable[[dict[str, Any]], None]) -> None:
        """Listen for `deliver`, which has to return at once."""
        self._deliver = deliver
        self._groups: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._changed: set[str] = set()
        self._changing: asyncio.Task[None] | None = None
        # Set after the first attempt to open the layer, also when it failed: registrations wait for no outage.
        self._tried = asyncio.Event()
        self._open: tuple[BaseChannelLayer, str] | None = None
        self._is_broken = self._is_stalled = False
        self._unheard = 0
        self._peers = Peers()

    def join(self, group: str) -> asyncio.Task[None]:
        """Deliver the group's messages. The task ends once it is joined; if the layer fails, it is joined later."""
        self._groups.add(group)
        if self._task is None:
            self._tried.clear()
            self._task = asyncio.create_task(self._run())
        return self._change(group)

    def leave(self, group: str) -> asyncio.Task[None]:
        """Stop delivering the group's messages. The task ends when the group is left."""
        self._groups.discard(group)
        return self._change(group)

    # No Batcher: it drops what finds no room, and a group must never be lost. A set also merges the join and the leave
    # of one group, and a registration waits for the task of its own batch.
    def _change(self, group: str) -> asyncio.Task[None]:
        """Join or leave a group of the layer, in one batch with all changes until then, which is never cancelled."""
        # A task that has taken its batch takes nothing more: then another one follows it.
        if self._changing is None or self._changing.done() or not self._changed:
            self._changing = asyncio.create_task(self._apply_changes(after=self._changing))
        self._changed.add(group)
        return self._changing

    async def _apply_changes(self, *, after: asyncio.Task[None] | None) -> None:
        if after:
            await asyncio.wait({after})
        await self._tried.wait()
        changed, self._changed = self._changed, set()
        await self._call_layer("group_add", changed & self._groups)
        await self._call_layer("group_discard", changed - self._groups)

    async def _run(self) -> None:
        """Listen while there are groups. It is never cancelled: a cancelled call breaks its connection."""
        try:
            while self._groups:
                try:
                    await self._hold(current())
                    continue
                except ChannelLayerAwayError:
                    metrics.SUBSCRIBE_FAILURES.inc()
                except Exception:
                    logger.exception("Listening to the channel layer failed; it begins anew.")
                self._tried.set()
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._task = None
            self._tried.set()  # a registration may wait for it

    async def _hold(self, layer: BaseChannelLayer) -> None:
        """Open a channel and listen; return when the channel has failed or is not needed any more."""
        async with bounded(layer):
            await layer.flush()  # a Redis layer closes its connections, and forgets channels and groups
            channel = await layer.new_channel()
        self._open, self._is_broken, self._unheard = (layer, channel), False, 0
        reader = asyncio.create_task(self._read(layer, channel))
        try:
            await self._call_layer("group_add", {*self._groups, self._peers.begin()})
            self._tried.set()
            await self._beat(layer, channel)
        finally:
            self._open = None
            with suppress(Exception):
                # Not `bounded`, which refuses calls while the layer is away: then too the connection has to be closed.
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await layer.flush()  # before the cancellation, at which receive() would unsubscribe
            reader.cancel()

    async def _read(self, layer: BaseChannelLayer, channel: str) -> None:
        # The condition, too, ends the task: on Python 3.11 a cancellation can get lost within the call.
        while self._open == (layer, channel):
            try:
                self._take(await layer.receive(channel))
            except Exception:  # noqa: BLE001 the next message has to be read in any case
                seal.refuse("unreadable")
                # A layer that fails at once, again and again, must not keep the event loop busy.
                await asyncio.sleep(UNREADABLE_SECONDS)

    def _take(self, message: Any) -> None:
        if not seal.is_ours(message):
            seal.refuse("seal")
            return
        # Any sealed message shows that the layer delivers, not beats alone.
        self._unheard = 0
        if self._is_stalled:
            self._is_stalled = False
            logger.warning("The channel layer brings messages again.")
        if message.get("type") in {"listener.hello", "listener.unheard"}:
            self._peers.hear(message)
        if message.get("group") in self._groups:
            try:
                self._deliver(message)
            except Exception:
                logger.exception("A message of a group could not be taken.")

    async def _beat(self, layer: BaseChannelLayer, channel: str) -> None:
        """Send beats to itself. Return when too many beats or messages of others are missing, or no group is left."""
        is_taken, beats, lonely = False, 0, 0
        while not self._is_broken and not self._peers.is_split:
            if self._unheard >= UNHEARD_MAX:
                self._note_stall(is_taken=is_taken)
                return
            await asyncio.sleep(BEAT_SECONDS)
            beats, lonely = beats + 1, 0 if self._groups else lonely + 1
            if lonely > LINGER_BEATS:
                self._tried.clear()  # a group that is joined from now on waits until the listener is open again
                return
            # A process that does not hear itself can say nothing of the others.
            if not self._unheard and beats % ROUND_BEATS == 0:
                self._peers.start_round(layer)
            # Beats are counted, not seconds: a process that stood still has sent none, and has missed none.
            self._unheard += 1
            is_taken = False
            with suppress(ChannelLayerAwayError):
                async with bounded(layer):
                    await layer.send(channel, seal.sealed({"type": "listener.beat", "group": ""}))
                is_taken = True

    def _note_stall(self, *, is_taken: bool) -> None:
        """Count and log that beats are missing, unless the layer failed to take them."""
        if is_taken:
            metrics.STALLS.inc()
            if not self._is_stalled:
                logger.warning("The channel layer takes messages and brings none; connecting anew.")
            self._is_stalled = True

    async def _call_layer(self, method: str, groups: Collection[str]) -> None:
        """Join or leave groups with the open channel, by group_add or group_discard. After a failure start anew."""
        if self._open is None:  # `_hold` joins all groups when it opens the next channel
            return
        layer, channel = self._open
        call, names = getattr(layer, method), list(groups)
        try:
            for start in range(0, len(names), GROUPS_MAX):
                async with bounded(layer):
                    await asyncio.gather(
                        *(call(group, channel) for group in names[start : start + GROUPS_MAX])
                    )
        except ChannelLayerAwayError:
            metrics.SUBSCRIBE_FAILURES.inc()
            self._is_broken = True

"""The line of this process to the channel layer: one channel, on which the messages of all its groups come.

A layer can go deaf without a word: its connection to Redis is half open, or a subscription was lost, and nothing
comes for ever. So the line talks to itself, and to the other processes. Where it does not hear itself, or them, it
starts from nothing: the layer forgets its connections, a new channel is opened, and every group is joined anew.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from channels.layers import BaseChannelLayer

from notifications import installation, metrics
from notifications.fanout import seal
from notifications.fanout.breaker import (
    RETRY_SECONDS,
    TIMEOUT_SECONDS,
    ChannelLayerAwayError,
    bounded,
    current,
)
from notifications.fanout.roll import ROUND_BEATS, Roll

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
UNHEARD_MAX = 3
"""How many beats in a row may be missed."""
LINGER_BEATS = 10
"""For how many beats the line stays open without members: the next may come soon."""
UNREADABLE_SECONDS = 0.1
GROUPS_MAX = 500
"""How many groups are joined or left at once, in a time that is bounded."""

Deliver = Callable[[dict[str, Any]], None]

_lines: dict[asyncio.AbstractEventLoop, "Line"] = {}


def line() -> "Line":
    """Return the line of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _lines:
        _lines[loop] = Line()
    return _lines[loop]


class Line:
    """Brings the messages of groups to their members here. It is open while there are any, and a little longer."""

    def __init__(self) -> None:
        self._members: dict[str, list[Deliver]] = {}
        self._task: asyncio.Task[None] | None = None
        self._changed: set[str] = set()
        self._telling: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._open: tuple[BaseChannelLayer, str] | None = None
        self._is_broken = False
        self._unheard = 0
        self._is_deaf = False
        self._roll = Roll()

    def join(self, group: str, deliver: Deliver) -> asyncio.Task[None]:
        """Hand each message of the group to `deliver` from now on, which returns at once.

        The task ends when the group is joined, or when the layer failed: then it is joined as soon as the layer works.
        """
        self._members.setdefault(group, []).append(deliver)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return self._tell_layer_of(group)

    def leave(self, group: str, deliver: Deliver) -> asyncio.Task[None] | None:
        """Hand over nothing more. Returns the task that tells the layer, where it has to be told."""
        members = self._members.get(group, [])
        if deliver in members:
            members.remove(deliver)
        if members:
            return None
        self._members.pop(group, None)
        return self._tell_layer_of(group)

    def _tell_layer_of(self, group: str) -> asyncio.Task[None]:
        """Have the layer told whether the group has members, together with all that changes until it is told.

        Nobody cancels the task: cut off in the middle, it would break the connection.
        """
        if self._telling is None or self._telling.done() or not self._changed:
            self._telling = asyncio.create_task(self._tell_layer(after=self._telling))
        self._changed.add(group)
        return self._telling

    async def _tell_layer(self, *, after: asyncio.Task[None] | None) -> None:
        if after:
            await asyncio.wait({after})
        await self._tried.wait()
        changed, self._changed = self._changed, set()
        await self._subscribe([group for group in changed if group in self._members])
        await self._unsubscribe([group for group in changed if group not in self._members])

    async def _run(self) -> None:
        """Keep the line open while there are members.

        Nobody cancels this: redis-py goes on with a call that is cancelled in the moment in which it was sent.
        """
        try:
            while self._members:
                try:
                    await self._hold(current())
                except ChannelLayerAwayError:
                    metrics.JOIN_FAILURES.inc()
                    self._tried.set()
                    await asyncio.sleep(RETRY_SECONDS)
                except Exception:
                    logger.exception("The line to the channel layer broke; it is opened anew.")
                    self._tried.set()
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._task = None
            self._tried.set()
            _lines.pop(asyncio.get_running_loop(), None)

    async def _hold(self, layer: BaseChannelLayer) -> None:
        """Open the line; return when it is of no use any more."""
        async with bounded(layer):
            await layer.flush()  # in redis's pub/sub layer: close the connections, forget channels and groups
            channel = await layer.new_channel()
        self._open, self._is_broken, self._unheard = (layer, channel), False, 0
        reader = asyncio.create_task(self._read(layer, channel))
        try:
            await self._subscribe([*self._members, self._begin_roll()])
            self._tried.set()
            await self._beat(layer, channel)
        finally:
            self._open = None
            with suppress(Exception):
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await layer.flush()  # before the reader ends, which would first give its channel back
            reader.cancel()

    def _begin_roll(self) -> str:
        """Return the group of all who listen in this installation."""
        identity = installation.known()
        group = seal.group_name("line", identity.name if identity else "")
        self._roll.begin(group=group)
        return group

    async def _read(self, layer: BaseChannelLayer, channel: str) -> None:
        while self._open == (layer, channel):
            try:
                self._take(await layer.receive(channel))
            except Exception:  # noqa: BLE001 whatever it is, the next message has to be read
                seal.refuse("unreadable")
                await asyncio.sleep(UNREADABLE_SECONDS)

    def _take(self, message: Any) -> None:
        if not seal.is_ours(message):
            seal.refuse("seal")
            return
        self._hear()
        if message["type"] in {"line.hello", "line.unheard"}:
            self._roll.hear(message)
        for deliver in tuple(self._members.get(message["group"], ())):
            try:
                deliver(message)
            except Exception:
                logger.exception("A message of a group could not be taken.")

    def _hear(self) -> None:
        self._unheard = 0
        if self._is_deaf:
            self._is_deaf = False
            logger.warning("The channel layer brings messages again.")

    async def _beat(self, layer: BaseChannelLayer, channel: str) -> None:
        """Talk on the line; return when too much of that, or of what others say, was not heard, or nobody is left."""
        is_taken, beats, lonely = False, 0, 0
        while self._unheard < UNHEARD_MAX and not self._is_broken and not self._roll.is_split:
            await asyncio.sleep(BEAT_SECONDS)
            beats, lonely = beats + 1, 0 if self._members else lonely + 1
            if lonely > LINGER_BEATS:
                self._tried.clear()  # who joins from now on waits until it is open again
                return
            if (
                "processes" in getattr(layer, "extensions", ())
                and not self._unheard
                and beats % ROUND_BEATS == 0
            ):
                self._roll.start_round(layer)
            self._unheard += 1
            is_taken = False
            with suppress(ChannelLayerAwayError):
                async with bounded(layer):
                    await layer.send(channel, seal.sealed({"type": "line.beat", "group": ""}))
                is_taken = True
        if is_taken and not self._is_broken and not self._roll.is_split:
            metrics.DEAF.inc()
            if not self._is_deaf:
                logger.warning("The channel layer takes messages and brings none; connecting anew.")
            self._is_deaf = True

    async def _subscribe(self, groups: list[str]) -> None:
        if self._open is None:
            return
        layer, channel = self._open
        try:
            for start in range(0, len(groups), GROUPS_MAX):
                async with bounded(layer):
                    some = groups[start : start + GROUPS_MAX]
                    await asyncio.gather(*(layer.group_add(group, channel) for group in some))
        except ChannelLayerAwayError:
            metrics.JOIN_FAILURES.inc()
            self._is_broken = True

    async def _unsubscribe(self, groups: list[str]) -> None:
        if self._open is None:
            return
        layer, channel = self._open
        try:
            for start in range(0, len(groups), GROUPS_MAX):
                async with bounded(layer):
                    some = groups[start : start + GROUPS_MAX]
                    await asyncio.gather(*(layer.group_discard(group, channel) for group in some))
        except ChannelLayerAwayError:
            self._is_broken = True

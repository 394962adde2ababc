"""A channel layer on Redis' pub/sub: Channels' interface, with one connection for each process.

Concurrent calls go to Redis together, and each waits for its own answer. Delivery is at most once, as in pub/sub.
Names and messages are those of channels-redis' pub/sub layer, whose serializer is used.
"""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from channels.layers import BaseChannelLayer
from channels_redis.serializers import registry

from notifications import metrics
from notifications.fanout import seal
from notifications.fanout.redis_server import RedisServer


class RedisLayer(BaseChannelLayer):
    """Channels and groups over a Redis server.

    Each event loop has a connection, channels and groups of its own. A message is dropped and counted if its channel
    holds `capacity` unread messages. Only channels of this process can join a group here.
    """

    extensions = ["groups", "flush", "processes"]

    def __init__(self, *, host: Mapping[str, Any], capacity: int = 10_000) -> None:
        """Use `host`: the server's `address`, and options of redis-py's connections."""
        super().__init__(capacity=capacity)
        self._host = host
        # Not encrypted: that costs 75 µs a message, and the seal proves its sender for 11 (docs/decisions/0030).
        self._serializer = registry.get_serializer("msgpack", symmetric_encryption_keys=None)
        self._states: dict[asyncio.AbstractEventLoop, _State] = {}

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        """Send a message to a channel of any process. Redis has it when this returns."""
        self.require_valid_channel_name(channel)
        await self._state().server.publish(channel, self._serializer.serialize(message))

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Open a channel, and return its name."""
        channel = f"asgi{prefix}{uuid.uuid4().hex}"
        await self._open(channel)
        return channel

    async def receive(self, channel: str) -> Any:
        """Return the next message of a channel. A message that cannot be read is dropped and counted.

        A cancelled call closes the channel: Channels' consumers cancel it at their end.
        """
        state = self._state()
        if channel not in state.channels:
            self.require_valid_channel_name(channel)
            await self._open(channel)
        queue = state.channels[channel]
        try:
            while True:
                content = await queue.get()
                try:
                    return self._serializer.deserialize(content)
                except Exception:  # noqa: BLE001 others that write to Redis can make the serializer raise anything
                    seal.refuse("unreadable")
        except asyncio.CancelledError:
            state.forget(channel)
            raise

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel of this process to a group. Redis knows the group when this returns."""
        name, state = self._name_of(group), self._state()
        if channel not in state.channels:
            raise RuntimeError(
                "group_add() takes channels that were opened in this process, by new_channel()."
            )
        state.groups.setdefault(name, set()).add(channel)
        await state.server.subscribe(name)

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel from a group, if it is in it."""
        name, state = self._name_of(group), self._state()
        if state.leave(name, channel):
            await state.server.unsubscribe(name)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send a message to all channels of a group. Redis has it when this returns."""
        name = self._name_of(group)
        await self._state().server.publish(name, self._serializer.serialize(message))

    async def flush(self) -> None:
        """Forget this event loop's channels and groups alone, and close its connection. Calls under way fail."""
        state = self._state()
        state.channels.clear()
        state.groups.clear()
        await state.server.flush()

    def _name_of(self, group: str) -> str:
        self.require_valid_group_name(group)
        return f"asgi__group__{group}"

    async def _open(self, channel: str) -> None:
        state = self._state()
        # Before the subscription: the first message may come right behind its confirmation.
        state.channels[channel] = asyncio.Queue(self.get_capacity(channel))
        try:
            await state.server.subscribe(channel)
        except BaseException:
            state.forget(channel)
            raise

    def _state(self) -> "_State":
        loop = asyncio.get_running_loop()
        state = self._states.get(loop)
        if state is None:
            # Commands and tests end their loops: what belonged to those can be forgotten.
            for ended in [known for known in list(self._states) if known.is_closed()]:
                self._states.pop(ended, None)
            state = self._states[loop] = _State(self._host)
        return state


class _State:
    """A layer's channels, groups and connection in one event loop, which closes it as it ends."""

    def __init__(self, host: Mapping[str, Any]) -> None:
        self.channels: dict[str, asyncio.Queue[bytes]] = {}
        self.groups: dict[str, set[str]] = {}
        self.server = RedisServer(host=host, deliver=self._deliver)

    def leave(self, name: str, channel: str) -> bool:
        """Remove a channel from a group. Return whether it was the last one in it."""
        channels = self.groups.get(name, set())
        if channel not in channels:
            return False
        channels.discard(channel)
        if not channels:
            del self.groups[name]
        return not channels

    def forget(self, channel: str) -> None:
        """Close a channel, without waiting for Redis."""
        self.channels.pop(channel, None)
        for name in (channel, *[group for group in list(self.groups) if self.leave(group, channel)]):
            self.server.forget(name)

    def _deliver(self, name: bytes, content: bytes) -> None:
        text = name.decode()
        for channel in (text,) if text in self.channels else self.groups.get(text, ()):
            queue = self.channels.get(channel)
            if queue is None:
                continue
            if queue.full():
                metrics.DROPPED.inc()
            else:
                queue.put_nowait(content)

"""Channels' pub/sub layer for Redis, on connections of our own.

Many callers' messages are on their way at once, groups are joined, left and sent to many at a time, and what comes
is handed over at once. Names, sharding and configuration are those of channels-redis.
"""

# ruff: noqa: SLF001 it adds to channels-redis, whose version is bounded for that

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer

from notifications import metrics
from notifications.fanout.redis_connection import Connection

UNREAD_MAX = 10_000
"""Messages of a channel. What finds no room is in the feed, and the reconciler brings it."""


class RedisLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """Adds to Channels' interface what many registrations and notifications at a time need: one round trip for all."""

    def _get_layer(self) -> Any:
        is_new = asyncio.get_running_loop() not in self._layers
        layer = super()._get_layer()
        if is_new:
            layer._shards = [Shard(host=shard.host, layer=layer) for shard in layer._shards]
        return layer

    def hand_over(self, channel: str, take: Callable[[bytes], None]) -> None:
        """Have `take` called with each message of a channel of ours as it comes, for `deserialize` to read.

        It takes the place of the queue that `receive` reads, until the layer is flushed.
        """
        self._get_layer().channels[channel] = take

    async def group_add_many(self, groups: Collection[str], channel: str) -> None:
        """Do what `group_add` does, for each of the groups."""
        layer = self._get_layer()
        names = [layer._get_group_channel_name(group) for group in groups]
        for name in names:
            layer.groups.setdefault(name, set()).add(channel)
        for shard, share in _by_shard(layer, [(name, name) for name in names]).items():
            await shard.subscribe(*share)

    async def group_discard_many(self, groups: Collection[str], channel: str) -> None:
        """Do what `group_discard` does, for each of the groups."""
        layer = self._get_layer()
        names = [layer._get_group_channel_name(group) for group in groups]
        for name in names:
            layer.groups.get(name, set()).discard(channel)
        empty = [name for name in names if not layer.groups.get(name)]
        for name in empty:
            layer.groups.pop(name, None)
        for shard, share in _by_shard(layer, [(name, name) for name in empty]).items():
            await shard.unsubscribe(*share)

    async def group_send_many(self, messages: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Do what `group_send` does, for each group and message."""
        layer = self._get_layer()
        named = [
            (layer._get_group_channel_name(group), self.serialize(message)) for group, message in messages
        ]
        for shard, share in _by_shard(layer, [(name, (name, content)) for name, content in named]).items():
            await shard.publish_many(share)


UNWATCHED_SECONDS = 10.0
"""How long a connection is used on which nothing is subscribed, as in a process without sockets. It would never notice
that the others are connected to another Redis by now."""


class Shard:
    """One of the Redis servers: our connection to it, open from the first call on, and what we are subscribed to.

    A lost connection is opened again by the next call, with all its subscriptions.
    """

    def __init__(self, *, host: dict[str, Any], layer: Any) -> None:
        """`layer` is channels-redis' layer of this event loop, whose channels get what comes."""
        self._host = host
        self._layer = layer
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._flushes = 0
        self._subscribed: dict[
            str, asyncio.Future[Exception | None]
        ] = {}  # done as soon as Redis confirmed it

    async def publish(self, name: str, content: bytes) -> None:
        """Send one message."""
        await self.publish_many([(name, content)])

    async def publish_many(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send messages in their order. Redis has taken them when this returns."""
        connection = await self._connected()
        commands = [("PUBLISH", name, content) for name, content in messages]
        _check(await connection.send(*commands, answers=len(commands)))

    async def subscribe(self, *names: str) -> None:
        """Get what is sent to these names from now on."""
        connection = await self._connected()
        self._subscribe(connection, [name for name in names if name not in self._subscribed])
        for confirmed in {self._subscribed[name] for name in names}:
            _check(await asyncio.shield(confirmed))

    async def unsubscribe(self, *names: str) -> None:
        """Get no more of it."""
        old = [name for name in names if self._subscribed.pop(name, None)]
        if old and self._connection and self._connection.is_alive():
            _check(await self._connection.send(("UNSUBSCRIBE", *old), answers=len(old)))

    async def flush(self) -> None:
        """Forget everything. Calls under way fail."""
        self._flushes += 1
        self._subscribed.clear()
        connection, self._connection = self._connection, None
        if connection:
            await connection.answered()  # what somebody has just sent need not fail
            await connection.close()

    async def _connected(self) -> Connection:
        if self._connection and self._is_good(self._connection):
            return self._connection
        flushes = self._flushes
        async with self._opening:
            if self._connection is None or not self._is_good(self._connection):
                if self._connection:
                    await self._connection.answered()
                    await self._connection.close()
                connection = await Connection.open(host=self._host, deliver=self._deliver)
                if flushes != self._flushes:
                    await connection.close()
                    raise ConnectionError("The layer was flushed.")
                self._connection = connection
                self._subscribe(connection, list(self._subscribed))
            return self._connection

    def _is_good(self, connection: Connection) -> bool:
        is_watched = bool(self._subscribed) or connection.age() < UNWATCHED_SECONDS
        return is_watched and connection.is_alive()

    def _subscribe(self, connection: Connection, names: Collection[str]) -> None:
        if names:
            confirmed = connection.send(("SUBSCRIBE", *names), answers=len(names))
            self._subscribed.update(dict.fromkeys(names, confirmed))

    def _deliver(self, name: bytes, content: bytes) -> None:
        group = name.decode()
        channels = self._layer.channels
        for channel in (group,) if group in channels else self._layer.groups.get(group, ()):
            unread = channels.get(channel)
            if callable(unread):
                unread(content)
            elif unread and unread.qsize() < UNREAD_MAX:
                unread.put_nowait(content)
            elif unread:
                metrics.DROPPED.inc()


def _check(error: Exception | None) -> None:
    if error:
        raise error


def _by_shard(layer: Any, items: Collection[tuple[str, Any]]) -> dict[Shard, list[Any]]:
    """Return what belongs to each shard, of pairs of a name and what belongs to it."""
    shares = defaultdict(list)
    for name, item in items:
        shares[layer._get_shard(name)].append(item)
    return shares

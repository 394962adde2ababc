"""Channels' pub/sub layer for Redis, which joins, leaves and sends to many groups at once."""

# ruff: noqa: SLF001 it adds to channels-redis, whose version is bounded for that

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer


class RedisLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """Adds to Channels' interface what many registrations and notifications at a time need: one round trip for all."""

    async def group_add_many(self, groups: Collection[str], channel: str) -> None:
        """Do what `group_add` does, for each of the groups."""
        layer = self._get_layer()
        names = [layer._get_group_channel_name(group) for group in groups]
        for name in names:
            layer.groups.setdefault(name, set()).add(channel)
        for shard, share in _by_shard(layer, names).items():
            async with shard._lock:
                new = [name for name in share if name not in shard._subscribed_to]
                if new:
                    shard._ensure_redis()
                    shard._ensure_receiver()
                    await shard._pubsub.subscribe(*new)
                    shard._subscribed_to.update(new)

    async def group_discard_many(self, groups: Collection[str], channel: str) -> None:
        """Do what `group_discard` does, for each of the groups."""
        layer = self._get_layer()
        names = [layer._get_group_channel_name(group) for group in groups]
        for name in names:
            layer.groups.get(name, set()).discard(channel)
        empty = [name for name in names if not layer.groups.get(name)]
        for name in empty:
            layer.groups.pop(name, None)
        for shard, share in _by_shard(layer, empty).items():
            async with shard._lock:
                old = [name for name in share if name in shard._subscribed_to]
                if old:
                    shard._ensure_redis()
                    shard._ensure_receiver()
                    await shard._pubsub.unsubscribe(*old)
                    shard._subscribed_to.difference_update(old)

    async def group_send_many(self, messages: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Do what `group_send` does, for each group and message."""
        layer = self._get_layer()
        named = [(layer._get_group_channel_name(group), message) for group, message in messages]
        for shard, share in _by_shard(layer, {name for name, _ in named}).items():
            async with shard._lock:
                shard._ensure_redis()
                pipeline = shard._redis.pipeline(transaction=False)
                for name, message in named:
                    if name in share:
                        pipeline.publish(name, self.serialize(message))
                await pipeline.execute()


def _by_shard(layer: Any, names: Collection[str]) -> dict[Any, set[str]]:
    shares = defaultdict(set)
    for name in names:
        shares[layer._get_shard(name)].add(name)
    return shares

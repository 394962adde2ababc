"""Choose the channel layers: over Redis if there is one, or in memory."""

import socket
from typing import Any

# Seconds of silence, seconds between probes, probes. macOS has another name for the first.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
MEMORY_LAYER = {
    "BACKEND": "channels.layers.InMemoryChannelLayer",
    # By default it drops a channel from its groups after a day, and messages beyond 100 unread ones.
    "CONFIG": {"group_expiry": 10 * 365 * 86400, "capacity": 10_000},
}


def connection_options(redis_url: str) -> dict[str, Any]:
    """Return options of redis-py's connections, which bound waiting (seconds) and find a server that is gone."""
    options: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 2}
    if not redis_url.startswith("unix://"):  # a local socket cannot be half open
        known = {name: value for name, value in _KEEPALIVE.items() if hasattr(socket, name)}
        options["socket_keepalive"] = True
        options["socket_keepalive_options"] = {getattr(socket, name): value for name, value in known.items()}
    return options


def layers_of(redis_url: str) -> dict[str, Any]:
    """Return Django's CHANNEL_LAYERS; an empty address stands for layers in memory.

    Notifications have a layer of their own, which the listener flushes to repair it. Other consumers use `default`.
    """
    if not redis_url:
        return {"default": MEMORY_LAYER, "notifications": MEMORY_LAYER}
    server = {"address": redis_url, **connection_options(redis_url)}
    return {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [server]},
        },
        "notifications": {
            "BACKEND": "notifications.fanout.redis_layer.RedisLayer",
            "CONFIG": {"host": server},
        },
    }

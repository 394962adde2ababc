"""Django's settings, without any middleware: neither requests nor sockets need a session."""

import os

import dj_database_url

SECRET_KEY = "the peer signs nothing with it"  # noqa: S105
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.peers.channels_peer.urls"
USE_TZ = True

INSTALLED_APPS = ["channels", "benchmarks.peers.channels_peer"]
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [os.environ["REDIS_URL"]]},
    }
}

# Django's documentation asks for a pool in place of CONN_MAX_AGE under ASGI, where requests run in ever new threads.
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": 10, "max_size": 10}

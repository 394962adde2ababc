"""The channel layer on Redis, on a real Valkey behind a network that can be broken."""

import asyncio
import gc
import logging

import pytest
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from channels_redis.pubsub import RedisPubSubChannelLayer
from redis.asyncio import Connection as RedisConnection
from redis.exceptions import RedisError, ResponseError

from notifications import metrics
from notifications.fanout import redis_connection, redis_server
from notifications.fanout.redis_layer import RedisLayer
from notifications.tests.conftest import PATIENCE, held_by, total, until
from tests.support.proxy import Proxy
from tests.support.tls import certificate, in_front_of


@pytest.fixture
def network(valkey):
    """The network between the layer and Valkey."""
    with Proxy(valkey.port) as proxy:
        yield proxy


@pytest.fixture
async def layer(network):
    layer = RedisLayer(host={"address": f"redis://127.0.0.1:{network.port}/0"})
    yield layer
    network.heal()
    await layer.flush()


async def received(layer, channel, count=1):
    """Return the next messages of a channel: the number that each was sent with."""
    async with asyncio.timeout(PATIENCE):
        return [(await layer.receive(channel))["n"] for _ in range(count)]


def message(n):
    return {"type": "news", "n": n}


async def join(layer, groups, channel):
    await asyncio.gather(*(layer.group_add(group, channel) for group in groups))


async def leave(layer, groups, channel):
    await asyncio.gather(*(layer.group_discard(group, channel) for group in groups))


async def send(layer, messages):
    await asyncio.gather(*(layer.group_send(group, content) for group, content in messages))


async def member(layer, *groups):
    channel = await layer.new_channel()
    await join(layer, groups, channel)
    return channel


def connection_of(layer):
    return held_by(layer).server._connection


def subscribed(redis, pattern="*"):
    return {name.decode() for name in redis.execute_command("PUBSUB", "CHANNELS", pattern)}


async def start(*calls):
    """Return tasks of these calls, each of which waits for Redis now."""
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    return tasks


async def test_the_messages_of_many_callers_are_under_way_at_once(layer, network):
    channel = await member(layer, "group")
    network.black_hole()
    tasks = await start(*(layer.group_send("group", message(n)) for n in range(5)))
    assert len(connection_of(layer)._unanswered) == 5
    network.heal()
    await asyncio.gather(*tasks)
    assert await received(layer, channel, 5) == [0, 1, 2, 3, 4]


async def test_messages_sent_together_arrive_in_their_order(layer):
    channel = await member(layer, "a", "b")
    await send(layer, [("ab"[n % 2], message(n)) for n in range(100)])
    assert await received(layer, channel, 100) == list(range(100))


async def test_who_gives_up_waiting_leaves_the_answers_of_others_in_their_places(layer, network):
    await member(layer)
    connection = connection_of(layer)
    network.black_hole()
    (gone,) = await start(layer.group_send("group", message(0)))
    wrong = connection.send("NOSUCHCOMMAND")
    right = connection.send("PUBLISH", "a", b"")
    gone.cancel()
    network.heal()
    assert isinstance(await wrong, ResponseError)
    assert await right is None
    assert connection.is_alive()


async def test_who_gives_up_joining_takes_nobody_along(layer, network):
    channel = await member(layer)
    network.black_hole()
    gone, other = await start(layer.group_add("group", channel), layer.group_add("group", channel))
    gone.cancel()
    await asyncio.wait({gone})
    network.heal()
    await other
    await layer.group_send("group", message(1))
    assert await received(layer, channel) == [1]


async def test_the_second_to_join_waits_for_redis_like_the_first(layer, network):
    channel = await member(layer)
    network.black_hole()
    tasks = await start(layer.group_add("group", channel), layer.group_add("group", channel))
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    network.heal()
    await asyncio.gather(*tasks)


async def test_groups_are_joined_and_left_while_messages_are_under_way(layer):
    channel = await member(layer, "news")
    others = [f"other.{n}" for n in range(300)]
    await asyncio.gather(
        *(layer.group_send("news", message(n)) for n in range(50)),
        join(layer, others, channel),
        leave(layer, others[:100], channel),
        *(layer.group_send("news", message(n)) for n in range(50, 100)),
    )
    assert await received(layer, channel, 100) == list(range(100))
    await send(layer, [(group, message(n)) for n, group in enumerate(others)])
    assert await received(layer, channel, 200) == list(range(100, 300))


async def test_a_group_that_is_joined_while_it_is_being_left_is_joined(layer, network):
    channel = await member(layer, "group")
    network.black_hole()
    tasks = await start(layer.group_discard("group", channel), layer.group_add("group", channel))
    network.heal()
    await asyncio.gather(*tasks)
    await layer.group_send("group", message(1))
    assert await received(layer, channel) == [1]


async def test_groups_that_one_may_not_join_are_one_error_and_change_nothing_else(valkey, redis):
    redis.acl_setuser(
        "rider",
        enabled=True,
        passwords=["+secret"],
        commands=["+@all"],
        channels=["asgispecific.*", "asgi__group__open"],
    )
    layer = RedisLayer(host={"address": f"redis://rider:secret@127.0.0.1:{valkey.port}/0"})
    channel = await member(layer, "open")
    with pytest.raises(ResponseError, match="permissions"):
        await join(layer, ["shut.1", "shut.2", "shut.3"], channel)
    with pytest.raises(ResponseError, match="permissions"):
        await send(layer, [("open", message(1)), ("shut.1", message(2)), ("open", message(3))])
    await layer.group_send("open", message(4))
    assert await received(layer, channel, 3) == [1, 3, 4]
    await layer.flush()


async def test_of_what_nobody_reads_the_newest_is_dropped_and_counted(layer):
    layer.capacity = 2
    channel = await member(layer, "group")
    before = total(metrics.DROPPED)
    await send(layer, [("group", message(n)) for n in range(5)])
    await until(lambda: total(metrics.DROPPED) == before + 3)
    assert await received(layer, channel, 2) == [0, 1]


async def test_a_killed_connection_is_opened_again_with_its_groups_by_the_next_call(layer, redis):
    channel = await member(layer, "a", "b")
    killed = connection_of(layer)
    redis.client_kill_filter(_type="pubsub")
    await until(lambda: not killed.is_alive())
    await send(layer, [("a", message(1)), ("b", message(2))])
    await layer.send(channel, message(3))
    assert await received(layer, channel, 3) == [1, 2, 3]


async def test_what_is_under_way_on_a_lost_connection_fails(layer, network):
    channel = await member(layer, "group")
    network.black_hole()
    tasks = await start(
        layer.group_send("group", message(1)),
        layer.group_add("b", channel),
        layer.group_discard("group", channel),
    )
    network.cut()
    ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)
    assert [type(error) for error in ended] == [ConnectionError] * 3
    await layer.group_send("b", message(2))
    assert await received(layer, channel) == [2]


async def test_a_connection_that_does_not_answer_is_replaced_by_the_next_call(layer, network, monkeypatch):
    monkeypatch.setattr(redis_connection, "SILENT_SECONDS", 0.01)
    channel = await member(layer, "group")
    network.strand()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(layer.group_send("group", message(1)), 0.05)
    await layer.group_send("group", message(2))
    assert await received(layer, channel) == [2]


async def test_a_connection_that_is_lost_as_soon_as_it_is_open_fails_and_can_be_flushed(layer, monkeypatch):
    connect = RedisConnection.connect

    async def connect_and_lose(self):
        await connect(self)
        self._writer.close()
        await self._writer.wait_closed()

    with monkeypatch.context() as patch:
        patch.setattr(RedisConnection, "connect", connect_and_lose)
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(layer.group_send("group", message(1)), PATIENCE)
    await layer.flush()
    await layer.group_send("group", message(2))


async def test_an_address_that_asks_for_an_older_protocol_is_served(valkey):
    layer = RedisLayer(host={"address": f"redis://127.0.0.1:{valkey.port}/0?protocol=2"})
    channel = await member(layer, "group")
    await layer.group_send("group", message(1))
    assert await received(layer, channel) == [1]
    await layer.flush()


async def test_redis_is_reached_by_tls(valkey, tmp_path):
    files = certificate(tmp_path)
    async with in_front_of(valkey.port, files=files) as port:
        layer = RedisLayer(host={"address": f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={files[0]}"})
        channel = await member(layer, "group")
        await send(layer, [("group", message(n)) for n in range(100)])
        assert await received(layer, channel, 100) == list(range(100))
        await layer.flush()


async def test_many_callers_open_one_connection(layer, redis):
    before = redis.info("clients")["connected_clients"]
    await asyncio.gather(*(layer.group_send("group", message(n)) for n in range(10)))
    assert redis.info("clients")["connected_clients"] == before + 1


async def test_a_flush_ends_what_is_under_way_and_the_layer_is_like_new(layer, network, redis):
    channel = await member(layer, "group")
    network.black_hole()
    tasks = await start(layer.group_send("group", message(1)), layer.group_add("b", channel))
    await layer.flush()
    ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)
    assert [type(error) for error in ended] == [ConnectionError] * 2
    network.heal()
    await until(lambda: not subscribed(redis))
    channel = await member(layer, "group")
    await layer.group_send("group", message(2))
    assert await received(layer, channel) == [2]
    assert subscribed(redis) == {channel, "asgi__group__group"}


async def test_a_flush_leaves_no_connection_that_was_just_being_opened(layer, network, redis):
    before = redis.info("clients")["connected_clients"]
    network.black_hole()
    (task,) = await start(layer.group_send("group", message(1)))
    await layer.flush()
    network.heal()
    with pytest.raises(ConnectionError):
        await task
    await until(lambda: redis.info("clients")["connected_clients"] == before)


async def test_commands_under_way_are_bounded(layer, network, monkeypatch):
    monkeypatch.setattr(redis_connection, "UNANSWERED_MAX", 3)
    channel = await member(layer, "group")
    network.black_hole()
    tasks = await start(*(layer.group_send("group", message(n)) for n in range(3)))
    with pytest.raises(ChannelFull):
        await layer.group_send("group", message(3))
    network.heal()
    await asyncio.gather(*tasks)
    assert await received(layer, channel, 3) == [0, 1, 2]


async def test_at_no_level_a_message_gets_into_the_log(layer, caplog):
    caplog.set_level(logging.DEBUG)
    channel = await member(layer, "group")
    await layer.group_send("group", message(1) | {"frame": "https://checkout.stripe.com/c/pay/cs_1"})
    assert await received(layer, channel) == [1]
    assert "checkout" not in caplog.text


async def test_a_channel_that_nobody_opened_can_join_no_group(layer):
    with pytest.raises(RuntimeError, match="new_channel"):
        await layer.group_add("group", "somebody.elses")


@pytest.mark.parametrize("name", ["a@b.com", "", "x" * 100, "two words"])
async def test_names_are_those_that_channels_allows(layer, name):
    channel = await layer.new_channel()
    for call in (
        layer.group_add(name, channel),
        layer.group_discard(name, channel),
        layer.group_send(name, message(1)),
        layer.send(name, message(1)),
        layer.receive(name),
    ):
        with pytest.raises(TypeError):
            await call


async def test_a_named_channel_can_be_received_from_and_sent_to(layer, redis):
    (reading,) = await start(received(layer, "jobs"))
    await until(lambda: "jobs" in subscribed(redis))
    await layer.send("jobs", message(1))
    assert await reading == [1]


async def test_whoever_stops_receiving_gives_the_channel_back(layer, redis):
    channel = await member(layer, "group", "other")
    staying = await member(layer, "other")
    (reading,) = await start(layer.receive(channel))
    reading.cancel()
    await asyncio.wait({reading})
    await until(lambda: subscribed(redis) == {staying, "asgi__group__other"})
    await layer.group_send("other", message(1))
    assert await received(layer, staying) == [1]
    assert set(held_by(layer).channels) == {staying}


async def test_a_channel_that_could_not_be_opened_leaves_nothing(layer, network):
    network.cut(refuse=True)
    with pytest.raises(RedisError):
        await layer.new_channel()
    assert not held_by(layer).channels


def test_from_synchronous_code_each_call_has_a_connection_and_leaves_none(valkey, redis):
    layer = RedisLayer(host={"address": f"redis://127.0.0.1:{valkey.port}/0"})
    before = redis.info("clients")["connected_clients"]
    for n in range(3):
        async_to_sync(layer.group_send)("group", message(n))
    assert len(layer._states) == 1  # the next loop forgets it
    gc.collect()  # what is left open warns, which is an error here
    assert redis.info("clients")["connected_clients"] == before


async def test_a_layer_of_channels_redis_understands_what_is_sent(layer, network):
    """Names and serializer are those of channels-redis."""
    theirs = RedisPubSubChannelLayer(hosts=[f"redis://127.0.0.1:{network.port}/0"])
    channel = await theirs.new_channel()
    await theirs.group_add("group", channel)
    await until(lambda: theirs.groups)
    ours = await member(layer, "group")
    async with asyncio.timeout(PATIENCE):
        await layer.group_send("group", message(1))
        assert await theirs.receive(channel) == message(1)
        await theirs.group_send("group", message(2))
        assert await received(layer, ours, 2) == [1, 2]
    await theirs.flush()


async def test_a_connection_on_which_nobody_listens_is_opened_again_before_long(layer, network, monkeypatch):
    """It would not notice that its Redis is another by now than that of those who listen."""
    await layer.group_send("group", message(1))
    await layer.group_send("group", message(2))
    first = connection_of(layer)
    monkeypatch.setattr(redis_server, "UNWATCHED_SECONDS", 0)
    await asyncio.gather(*(layer.group_send("group", message(n)) for n in range(5)))
    assert connection_of(layer) is not first
    channel = await member(layer, "group")
    watched = connection_of(layer)
    await layer.group_send("group", message(3))
    assert await received(layer, channel) == [3]
    assert connection_of(layer) is watched

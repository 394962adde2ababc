"""Clients of the guide, which acknowledge nothing, miss nothing either, and get nothing twice without need."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest
from channels.db import database_sync_to_async
from django.db import connection, transaction
from django.utils import timezone

from notifications import feed, installation
from notifications.delivery import confirmations, history, hub, receipts
from notifications.delivery.confirmations import window_seconds
from notifications.delivery.receipts import CROSSING_SECONDS, DeliveryTracker
from notifications.models import Feed, Notification
from notifications.tests.conftest import PATIENCE, until
from notifications.tests.test_consumers import Server

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])


@pytest.fixture
def notify_of(notify_user):
    """Return a function that notifies the user of a payment."""

    async def notify(payment, status, **fields):
        return await notify_user(frame={payment: status}, collapse_key=f"payment:{payment}", **fields)

    return notify


@pytest.fixture
def without_redeliveries():
    """Return functions that keep the redeliveries from being read, and let them be read again."""
    names = ["redeliveries", "gone"]

    def rename():
        old, new = names
        names.reverse()
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE notifications_notification RENAME COLUMN {old} TO {new}")

    yield database_sync_to_async(rename), database_sync_to_async(rename)
    if names == ["gone", "redeliveries"]:
        rename()


@database_sync_to_async
def confirmed(user_id="user_123"):
    return Feed.objects.values_list("confirmed_seq", flat=True).get(user_id=user_id)


@database_sync_to_async
def epoch():
    return installation.current().epoch


async def comes_to_be_confirmed(seq):
    async with asyncio.timeout(PATIENCE):
        while await confirmed() != seq:  # noqa: ASYNC110 it comes to be in the database
            await asyncio.sleep(0.02)


async def is_offered(connect):
    """Return what a plain client is sent that registers, looks and loses its connection."""
    client = await connect()
    await client.register()
    frames = await frames_before_pong(client)
    await loses_its_connection(client)
    return frames


async def frames_before_pong(client):
    await client.send_json_to({"type": "ping"})
    frames = []
    while (frame := await client.read()) != {"type": "pong"}:
        frames.append(frame)
    return frames


async def loses_its_connection(client):
    await client.send_input({"type": "websocket.disconnect", "code": 1006})
    await client.wait(timeout=PATIENCE)


async def closes(client, *, after=CROSSING_SECONDS[0] * 1.5, **how):
    """Close the connection as a client does, so much later than the last frame."""
    await asyncio.sleep(after)
    await client.send_input({"type": "websocket.disconnect"} | (how or {"code": 1001}))
    await client.wait(timeout=PATIENCE)


# What a client is sent that was away


async def test_who_was_away_while_a_payment_was_asked_for_and_paid_gets_one_frame(connect, notify_of):
    for status in ("link", "failed", "succeeded"):
        await notify_of("a", status)
    client = await connect()
    assert list(await client.register()) == ["type", "message", "userId"]
    assert await client.read_text() == '{"a":"succeeded"}'
    assert await client.is_silent()


async def test_of_each_payment_the_newest_comes_in_the_order_of_their_numbers(connect, notify_of):
    for payment, status in (("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5)):
        await notify_of(payment, status)
    assert await is_offered(connect) == [{"a": 3}, {"c": 4}, {"b": 5}]


async def test_what_has_expired_is_no_news_and_brings_nothing_older_back(connect, notify_of):
    past = timezone.now() - timedelta(seconds=1)
    await notify_of("a", "link")
    await notify_of("a", "expired", expires_at=past)
    await notify_of("b", "kept", expires_at=timezone.now() + timedelta(hours=1))
    assert await is_offered(connect) == [{"b": "kept"}]


async def test_many_payments_come_page_by_page(connect, notify_of, monkeypatch):
    monkeypatch.setattr("notifications.delivery.cursor.PAGE_SIZE", 3)
    for n in range(7):
        await notify_of(f"payment {n}", "link")
        await notify_of(f"payment {n}", n)
    assert await is_offered(connect) == [{f"payment {n}": n} for n in range(7)]


async def test_what_is_new_comes_after_what_was_missed(notify_of):
    """Else a client would show `pending` of a payment after it got `succeeded`."""
    sent, may_go_on = [], asyncio.Event()

    async def send(message):
        sent.append(message.get("text"))
        if len(sent) == 3:
            await may_go_on.wait()

    for n in (1, 2):
        await notify_of(n, "link")
    server = Server(send)
    await server.connects_and_registers()
    await until(lambda: len(sent) == 3)
    await notify_of(1, "succeeded")
    await notify_of(2, "succeeded")
    may_go_on.set()
    await until(lambda: len(sent) == 6)
    assert sent[2:] == [f'{{"{n}":"{status}"}}' for status in ("link", "succeeded") for n in (1, 2)]
    await server.disconnects()


async def test_a_client_that_counts_is_sent_everything_and_confirms_nothing(connect, notify_of):
    for status in ("link", "succeeded"):
        await notify_of("a", status)
    client = await connect()
    await client.register(lastSeq=0)
    assert await frames_before_pong(client) == [{"a": "link", "seq": 1}, {"a": "succeeded", "seq": 2}]
    await closes(client)
    assert await confirmed() == 0


async def test_what_cannot_be_read_yet_is_sent_once_the_database_is_back(
    connect, notify_of, without_redeliveries
):
    without, with_them = without_redeliveries
    await notify_of("a", "link")
    await without()
    client = await connect()
    await client.register()
    assert await client.is_silent()
    await with_them()
    assert await client.read() == {"a": "link"}
    assert await client.is_silent()


# What counts as delivered


async def test_what_was_sent_into_a_connection_that_is_lost_is_sent_again(connect, notify_of):
    client = await connect()
    await client.register()
    await notify_of("a", "link")
    assert await client.read() == {"a": "link"}
    await loses_its_connection(client)
    assert await is_offered(connect) == [{"a": "link"}]


@pytest.mark.parametrize(
    "how", [{"code": 1000}, {"code": 1001}, {"code": 4000}, {"code": 1005, "reason": ""}]
)
async def test_who_closes_the_connection_has_got_what_was_sent(connect, notify_of, how):
    client = await connect()
    await client.register()
    await notify_of("a", "link")
    await client.read()
    await closes(client, **how)
    assert await confirmed() == 1
    assert await is_offered(connect) == []


async def test_it_is_known_up_to_where_an_app_confirmed_and_by_when(connect, notify_of):
    read = database_sync_to_async(feed.confirmed_until)
    await notify_of("a", "link")
    assert await read(user_id="user_123") is None
    before = timezone.now()
    client = await connect()
    await client.register()
    await client.read()
    await closes(client)
    confirmed = await read(user_id="user_123")
    assert confirmed.seq == 1
    assert before < confirmed.at < timezone.now()
    await notify_of("a", "succeeded")
    assert await read(user_id="user_123") == confirmed
    assert await read(user_id="nobody") is None


@pytest.mark.parametrize("how", [{"code": 1006}, {"code": 1005}, {"code": 1011}, {"code": 1012}, {}])
async def test_a_connection_that_ends_in_another_way_confirms_nothing(connect, notify_of, how):
    client = await connect()
    await client.register()
    await notify_of("a", "link")
    await client.read()
    await closes(client, **(how or {"reason": ""}))
    assert await is_offered(connect) == [{"a": "link"}]


async def test_a_frame_that_may_have_crossed_the_clients_close_is_sent_again(connect, notify_of):
    client = await connect()
    await client.register()
    await notify_of("a", "link")
    await client.read()
    await closes(client, after=0)
    assert await is_offered(connect) == [{"a": "link"}]


async def test_a_client_that_the_service_sent_away_confirms_nothing(connect, notify_of, settings):
    settings.NOTIFICATIONS_CONNECTIONS = "latest"
    older = await connect()
    await older.register()
    await notify_of("a", "link")
    await older.read()
    newer = await connect()
    await newer.register()
    assert await newer.read() == {"a": "link"}
    assert await older.read_close() == 4409
    await closes(older, code=4409, reason="")
    assert await confirmed() == 0


async def test_a_connection_that_outlives_the_ping_window_has_delivered(connect, notify_of, settings):
    client = await connect()
    await client.register()
    await notify_of("a", "link")
    await client.read()
    settings.WEBSOCKET_PING_SECONDS = -2  # a window of a second
    await comes_to_be_confirmed(1)
    await loses_its_connection(client)
    assert await is_offered(connect) == []


async def test_what_was_redelivered_counts_like_what_came_live(connect, notify_of):
    await notify_of("a", "link")
    await notify_of("b", "link")
    client = await connect()
    await client.register()
    assert await frames_before_pong(client) == [{"a": "link"}, {"b": "link"}]
    await closes(client)
    assert await confirmed() == 2


# No endless repetition


async def test_the_reload_of_one_of_two_tabs_brings_nothing_again(connect, notify_of):
    first, second = await connect(), await connect()
    for tab in (first, second):
        await tab.register()
    await notify_of("a", "link")
    for tab in (first, second):
        assert await tab.read() == {"a": "link"}
    await closes(second)
    assert await is_offered(connect) == []
    assert await first.is_silent()


async def test_registering_again_on_the_same_connection_brings_nothing_again(connect, notify_of):
    await notify_of("a", "link")
    client = await connect()
    await client.register()
    assert await client.read() == {"a": "link"}
    for _ in range(3):
        await client.register()
        assert await client.is_silent()
    await closes(client)
    assert await confirmed() == 1


async def test_a_registration_before_the_redelivery_was_sent_gets_it(
    connect, notify_of, without_redeliveries
):
    without, with_them = without_redeliveries
    await notify_of("a", "link")
    await without()
    client = await connect()
    for _ in range(2):
        await client.register()
        assert await client.is_silent()
    await with_them()
    assert await client.read() == {"a": "link"}
    assert await client.is_silent()


async def test_a_flapping_connection_is_sent_the_same_a_limited_number_of_times(connect, notify_of):
    await notify_of("a", "link")
    for _ in range(history.REDELIVERIES_MAX):
        assert await is_offered(connect) == [{"a": "link"}]
    assert await is_offered(connect) == []
    await notify_of("a", "succeeded")
    assert await is_offered(connect) == [{"a": "succeeded"}]


# The tracker of one connection


@pytest.fixture
def window(settings):
    settings.WEBSOCKET_PING_SECONDS = 20
    return 45


def test_a_number_is_confirmed_a_window_after_it_was_sent(window):
    tracker = DeliveryTracker(round_trip=0.0)
    tracker.sent(1, at=100)
    tracker.sent(3, at=110)
    assert tracker.outlived(now=100 + window - 0.01, window=window_seconds()) is None
    assert tracker.outlived(now=100 + window, window=window_seconds()) == 1
    assert tracker.outlived(now=100 + window, window=window_seconds()) is None
    assert tracker.outlived(now=200, window=window_seconds()) == 3


async def test_while_a_process_stands_still_so_does_its_clock(connect):
    await (await connect()).register()
    clock = hub.current().clock
    await until(lambda: clock.now > 0)
    before = clock.now
    time.sleep(1)  # noqa: ASYNC251 nothing runs meanwhile
    await until(lambda: clock.now > before)
    assert clock.now - before < 0.5


async def test_a_close_that_is_handled_late_confirms_nothing_that_it_may_have_crossed(connect, notify_of):
    client = await connect()
    await client.register()
    await notify_of("a", "link")
    await client.read()
    await client.send_input({"type": "websocket.disconnect", "code": 1001})
    time.sleep(1)  # noqa: ASYNC251 as in a process that is overloaded
    await client.wait(timeout=PATIENCE)
    assert await is_offered(connect) == [{"a": "link"}]


@pytest.mark.parametrize(("round_trip", "crossing"), [(0.0, 0.3), (0.2, 0.4), (30.0, 1.0)])
def test_a_close_confirms_what_was_sent_longer_ago_than_both_can_cross(round_trip, crossing):
    tracker = DeliveryTracker(round_trip=round_trip)
    tracker.sent(1, at=100)
    tracker.sent(2, at=105)
    assert tracker.closed(now=105 + crossing - 0.01) == 1
    assert tracker.closed(now=105 + crossing + 0.01) == 2


def test_of_many_the_newest_is_confirmed_at_its_own_time(window):
    tracker = DeliveryTracker(round_trip=0.0)
    for seq in range(1, 1001):
        tracker.sent(seq, at=100 + seq)
    assert tracker.outlived(now=1100 + window - 1, window=window_seconds()) == receipts.WATCHED_MAX - 1
    assert tracker.outlived(now=1100 + window, window=window_seconds()) == 1000


# Writing them down


async def test_confirmations_of_many_users_are_written_together(notify_user):
    for n in range(20):
        await notify_user(f"user {n}")
    statements = []

    def count(execute, sql, *rest):
        statements.append(sql)
        return execute(sql, *rest)

    @database_sync_to_async
    def confirm():
        with connection.execute_wrapper(count):
            numbers = {f"user {n}": 1 for n in range(20)} | {"nobody": 1}
            return history.confirm(numbers, epoch=installation.read().epoch)

    assert await confirm() == {"nobody"}
    assert len([sql for sql in statements if "notifications_feed" in sql]) == 2
    assert await database_sync_to_async(Feed.objects.filter(confirmed_seq=1).count)() == 20


async def test_a_number_never_goes_back(notify_user):
    for _ in range(3):
        await notify_user()
    for seq in (2, 3, 1):
        await hub.current().confirmations.add(user_id="user_123", seq=seq, epoch=await epoch())
    assert await confirmed() == 3


async def test_what_cannot_be_written_is_tried_again(notify_user, without_table, caplog):
    take_table, bring_table_back = without_table
    await notify_user()
    await take_table()
    hub.current().confirmations.add(user_id="user_123", seq=1, epoch=await epoch())
    await until(lambda: "could not be written" in caplog.text)
    await bring_table_back()
    await comes_to_be_confirmed(1)


async def test_a_feed_that_is_being_written_to_is_not_waited_for_and_tried_again(notify_user):
    """On SQLite the transaction as a whole waits for the other."""
    await notify_user()
    holding, may_end = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            feed.notify(user_id="user_123", frame={"n": 2}, collapse_key="", expires_at=None)
            holding.set()
            may_end.wait(PATIENCE)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    await asyncio.to_thread(holding.wait, PATIENCE)
    try:
        if connection.features.has_select_for_update_skip_locked:
            confirm = database_sync_to_async(history.confirm)
            assert await confirm({"user_123": 1}, epoch=await epoch()) == {"user_123"}
        hub.current().confirmations.add(user_id="user_123", seq=1, epoch=await epoch())
    finally:
        may_end.set()
        await asyncio.to_thread(thread.join)
    await comes_to_be_confirmed(1)


async def test_whose_feed_is_gone_is_given_up(monkeypatch):
    monkeypatch.setattr(confirmations, "RETRY_SECONDS", 0)
    await hub.current().confirmations.add(user_id="nobody", seq=1, epoch=await epoch())
    assert not await database_sync_to_async(Feed.objects.exists)()


async def test_redeliveries_are_counted_on_what_was_redelivered_alone(connect, notify_of):
    await notify_of("a", 1)
    await notify_of("a", 2)
    await is_offered(connect)
    numbers = Notification.objects.order_by("seq").values_list("redeliveries", flat=True)
    assert await database_sync_to_async(list)(numbers) == [0, 1]


async def test_the_end_of_a_connection_waits_for_what_itself_confirmed_alone(connect, notify_of):
    client = await connect()
    await client.register()
    others = hub.current().confirmations.add(user_id="nobody", seq=1, epoch=await epoch())  # tried for long
    started = time.monotonic()
    await loses_its_connection(client)
    assert time.monotonic() - started < 1
    assert not others.done()

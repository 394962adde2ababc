"""A subscription alone: its messages are handed to it, and no reconciler looks after it."""

import asyncio
import json

import pytest
from channels.db import database_sync_to_async

from notifications import metrics
from notifications.delivery import cursor, registration_reads
from notifications.delivery.cursor import ClientGoneError
from notifications.delivery.subscription import Subscription
from notifications.feed import Head
from notifications.installation import known
from notifications.models import Feed, Notification
from notifications.tests.conftest import total, until

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])


def message(seq, frame='{"n":0}'):
    return {"type": "feed.notification", "epoch": known().epoch, "seq": seq, "frame": frame}


class Socket:
    """What a subscription sends to."""

    def __init__(self):
        self.texts = []
        self.closed = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, text):
        await self.open.wait()
        self.texts.append(text)

    async def close(self, code):
        self.closed.append(code)

    @property
    def notifications(self):
        """What was sent after the confirmation."""
        return [json.loads(text) for text in self.texts[1:]]


@pytest.fixture
async def subscribe(tell):
    """Return a function that starts a subscription; it is stopped when the test ends."""
    started = []

    async def start(*, last_seq=None, send=None, connection_id="a"):
        socket = Socket()
        subscription = Subscription(
            user_id="user_123",
            connection_id=connection_id,
            last_seq=last_seq,
            round_trip=0.0,
            send=send or socket.send,
            close=socket.close,
        )
        started.append(subscription)
        await subscription.start()
        await subscription.send_missed()
        return subscription, socket

    yield start
    for subscription in started:
        subscription.stop()
        await subscription.stopped()


@pytest.fixture
def tell_silently(tell, settings, unreachable_layer):
    """Return a function that notifies a user while no wake gets through."""

    async def notify(*args, **kwargs):
        own = settings.CHANNEL_LAYERS
        settings.CHANNEL_LAYERS = unreachable_layer
        seq = await tell(*args, **kwargs)
        settings.CHANNEL_LAYERS = own
        return seq

    return notify


async def test_the_next_notification_is_sent_as_it_came_without_the_database(subscribe, without_table):
    take_table, _ = without_table
    subscription, socket = await subscribe()
    await take_table()
    await subscription.receive(message(1, '{"type":"news","n":1}'))
    await subscription.receive(message(2, '{"type":"news","n":2}'))
    assert socket.texts[1:] == ['{"type":"news","n":1}', '{"type":"news","n":2}']


async def test_a_wake_that_comes_during_the_registration_waits_for_its_end(subscribe, tell, monkeypatch):
    woken, refused = metrics.SENT.labels("wake"), total(metrics.REFUSED)
    before, read = woken._value.get(), registration_reads.read_position

    async def read_and_be_late(*, user_id):
        position = await read(user_id=user_id)
        await tell(frame={"n": 1})
        await asyncio.sleep(0.2)
        return position

    monkeypatch.setattr(registration_reads, "read_position", read_and_be_late)
    _, socket = await subscribe()
    await until(lambda: socket.notifications == [{"n": 1}])
    assert woken._value.get() == before + 1
    assert total(metrics.REFUSED) == refused


async def test_what_was_sent_is_not_sent_again(subscribe):
    subscription, socket = await subscribe()
    for seq in (1, 1, 2, 1, 2, 0, 3):
        await subscription.receive(message(seq, f'{{"n":{seq}}}'))
    assert socket.notifications == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a_wake_out_of_turn_brings_what_was_left_out_first(subscribe, tell_silently):
    subscription, socket = await subscribe()
    for n in (1, 2, 3):
        await tell_silently(frame={"n": n})
    await subscription.receive(message(3, '{"n":3}'))
    await subscription.receive(message(2, '{"n":2}'))
    assert socket.notifications == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a_wake_for_what_is_not_in_the_feed_moves_nothing(subscribe, tell_silently):
    subscription, socket = await subscribe()
    await subscription.receive(message(1_000_000))
    await tell_silently(frame={"n": 1})
    await subscription.receive(message(1, '{"n":1}'))
    assert socket.notifications == [{"n": 1}]


@pytest.mark.parametrize("nonsense", [{"type": "feed.notification"}, {}, {"type": "other"}, {"type": None}])
async def test_a_message_that_makes_no_sense_stops_nothing(subscribe, nonsense):
    subscription, socket = await subscribe()
    await subscription.receive(nonsense)
    await subscription.receive(message(1, '{"n":1}'))
    assert socket.notifications == [{"n": 1}]


async def test_a_gap_that_cannot_be_read_is_sent_later_and_nothing_before_it(
    subscribe, tell_silently, without_table
):
    take_table, bring_table_back = without_table
    subscription, socket = await subscribe()
    for n in (1, 2):
        await tell_silently(frame={"n": n})
    await take_table()
    await subscription.receive(message(2, '{"n":2}'))
    assert socket.notifications == []
    await bring_table_back()
    subscription.compare(Head(2, ""), seq=0)
    await until(lambda: socket.notifications == [{"n": 1}, {"n": 2}])


async def test_a_registration_stands_though_what_was_missed_cannot_be_read(
    subscribe, tell_silently, without_table
):
    take_table, bring_table_back = without_table
    await tell_silently(frame={"n": 1})
    socket = Socket()

    async def send(text):
        if not socket.texts:
            await take_table()
        await socket.send(text)

    subscription, _ = await subscribe(last_seq=0, send=send)
    assert json.loads(socket.texts[0])["resumed"] is True
    await bring_table_back()
    subscription.compare(Head(1, ""), seq=0)
    await until(lambda: socket.notifications == [{"n": 1, "seq": 1}])


async def test_many_missed_notifications_are_read_page_by_page(subscribe):
    many = cursor.PAGE_SIZE * 2 + 1

    @database_sync_to_async
    def fill():
        feed = Feed.objects.create(user_id="user_123", last_seq=many)
        Notification.objects.bulk_create(
            Notification(feed=feed, seq=n, frame=f'{{"n":{n}}}') for n in range(1, many + 1)
        )

    await fill()
    _, socket = await subscribe(last_seq=0)
    assert socket.notifications == [{"n": n, "seq": n} for n in range(1, many + 1)]


async def test_notifications_that_are_not_kept_are_passed(subscribe, tell_silently):
    subscription, socket = await subscribe()
    for _ in range(3):
        await tell_silently()
    await database_sync_to_async(Notification.objects.all().delete)()
    subscription.compare(Head(3, ""), seq=0)
    await until(lambda: subscription._cursor.seq == 3)
    await subscription.receive(message(4, '{"n":4}'))
    assert socket.notifications == [{"n": 4}]


async def test_a_client_that_takes_nothing_holds_up_no_comparison(subscribe, tell_silently):
    subscription, socket = await subscribe()
    await tell_silently(frame={"n": 1})
    socket.open.clear()
    for _ in range(3):
        subscription.compare(Head(1, ""), seq=0)
    socket.open.set()
    await until(lambda: socket.notifications == [{"n": 1}])


async def test_a_comparison_and_a_wake_at_once_send_once(subscribe, tell_silently):
    subscription, socket = await subscribe()
    for n in (1, 2):
        await tell_silently(frame={"n": n})
    subscription.compare(Head(2, ""), seq=0)
    await asyncio.gather(*(subscription.receive(message(seq, f'{{"n":{seq}}}')) for seq in (2, 1, 2)))
    await until(lambda: not subscription._is_sending())
    assert socket.notifications == [{"n": 1}, {"n": 2}]


async def test_after_its_end_nothing_is_sent(subscribe, tell_silently):
    subscription, socket = await subscribe()
    await tell_silently()
    subscription.stop()
    subscription.compare(Head(1, ""), seq=0)
    await subscription.receive(message(1))
    await subscription.stopped()
    assert socket.notifications == []


async def test_a_client_that_has_gone_raises_nothing_but_that(subscribe):
    async def send(text):
        raise ClientGoneError

    with pytest.raises(ClientGoneError):
        await subscribe(send=send)


async def test_with_latest_a_subscription_that_is_not_the_newest_is_closed_once(subscribe, settings):
    settings.NOTIFICATIONS_CONNECTIONS = "latest"
    subscription, socket = await subscribe(connection_id="a")
    subscription.compare(Head(0, "a"), seq=0)
    for _ in range(3):
        subscription.compare(Head(0, "b"), seq=0)
    await until(lambda: socket.closed)
    assert socket.closed == [4409]
    await subscription.receive(message(1))
    assert socket.notifications == []


async def test_with_all_nobody_is_replaced(subscribe):
    subscription, socket = await subscribe(connection_id="a")
    subscription.compare(Head(0, "b"), seq=0)
    await subscription.receive(message(1))
    assert len(socket.notifications) == 1
    assert socket.closed == []

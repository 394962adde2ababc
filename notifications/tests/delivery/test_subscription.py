"""A connection alone: messages are handed to its hub, and comparisons made by hand."""

import asyncio
import json
import random

import pytest
from channels.db import database_sync_to_async
from django.db import OperationalError

from notifications import metrics
from notifications.delivery import cursor, history, hub, reconciler
from notifications.delivery.registration_reads import RegistrationReads
from notifications.delivery.socket import ClientGoneError, Socket
from notifications.delivery.states import FeedState
from notifications.delivery.subscription import Subscription
from notifications.fanout import seal
from notifications.fanout.publish import Wake
from notifications.fanout.publish import message as sealed
from notifications.installation import known
from notifications.models import Feed, Notification
from notifications.protocol import Register
from notifications.tests.conftest import total, until

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])


def message(seq, frame='{"n":0}'):
    return sealed(Wake("user_123", seq, frame), known()).content


async def bring(*messages):
    """Bring messages over the channel layer, and let all that they start end."""
    for content in messages:
        hub.current().listener._take(content)
    await until(lambda: not any(one._is_pumping for one in subscriptions()))


def subscriptions():
    return [one for members in hub.current()._groups.values() for one in members]


def row(newest, *, latest=""):
    """Return the state of a feed as a comparison reads it."""
    return FeedState(newest, None, 0, known().epoch, is_first_epoch=True, latest_connection=latest)


class Server:
    """What a socket sends to."""

    def __init__(self):
        self.texts = []
        self.closed = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, event):
        await self.open.wait()
        if event["type"] == "websocket.close":
            self.closed.append(event["code"])
        else:
            self.texts.append(event["text"])

    @property
    def notifications(self):
        """What was sent after the confirmation."""
        return [json.loads(text) for text in self.texts[1:]]


@pytest.fixture
async def subscribe(notify_user, monkeypatch):
    """Return a function that registers a connection; it leaves when the test ends."""
    monkeypatch.setattr(reconciler, "INTERVAL_SECONDS", 1000)
    started = []

    async def start(*, last_seq=None, send=None, connection_id="a"):
        server, own = Server(), hub.current()
        fields = {"type": "register", "userId": "user_123"} | (
            {} if last_seq is None else {"lastSeq": last_seq}
        )
        subscription = Subscription(
            request=Register(**fields),
            connection_id=connection_id,
            socket=Socket(send or server.send),
            clock=own.clock,
            confirmations=own.confirmations,
        )
        started.append(subscription)
        await own.register(subscription)
        await subscription.send_missed()
        return subscription, server

    yield start
    for subscription in started:
        await hub.current().end(subscription)


async def test_the_next_notification_is_sent_as_it_came_without_the_database(subscribe, without_table):
    take_table, _ = without_table
    _, socket = await subscribe()
    await take_table()
    await bring(message(1, '{"type":"news","n":1}'), message(2, '{"type":"news","n":2}'))
    assert socket.texts[1:] == ['{"type":"news","n":1}', '{"type":"news","n":2}']


async def test_a_wake_that_comes_during_the_registration_waits_for_its_end(
    subscribe, notify_user, monkeypatch
):
    woken, refused = metrics.SENT.labels("wake"), total(metrics.REFUSED)
    before, read = woken._value.get(), RegistrationReads.read_state

    async def read_and_be_late(reads, **asked):
        state = await read(reads, **asked)
        await notify_user(frame={"n": 1})
        await asyncio.sleep(0.2)
        return state

    monkeypatch.setattr(RegistrationReads, "read_state", read_and_be_late)
    _, socket = await subscribe()
    await until(lambda: socket.notifications == [{"n": 1}])
    assert woken._value.get() == before + 1
    assert total(metrics.REFUSED) == refused


async def test_what_was_sent_is_not_sent_again(subscribe):
    _, socket = await subscribe()
    for seq in (1, 1, 2, 1, 2, 0, 3):
        await bring(message(seq, f'{{"n":{seq}}}'))
    assert socket.notifications == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a_wake_out_of_turn_brings_what_was_left_out_first(subscribe, notify_silently):
    _, socket = await subscribe()
    for n in (1, 2, 3):
        await notify_silently(frame={"n": n})
    await bring(message(3, '{"n":3}'))
    await bring(message(2, '{"n":2}'))
    assert socket.notifications == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a_wake_for_what_is_not_in_the_feed_moves_nothing(subscribe, notify_silently):
    _, socket = await subscribe()
    await bring(message(1_000_000))
    await notify_silently(frame={"n": 1})
    await bring(message(1, '{"n":1}'))
    assert socket.notifications == [{"n": 1}]


@pytest.mark.parametrize("nonsense", [{"type": "feed.notification"}, {}, {"type": "other"}, {"type": None}])
async def test_a_message_that_makes_no_sense_stops_nothing(subscribe, nonsense):
    subscription, socket = await subscribe()
    await bring(seal.sealed(nonsense | {"group": subscription.group}))
    await bring(message(1, '{"n":1}'))
    assert socket.notifications == [{"n": 1}]


async def test_a_gap_that_cannot_be_read_is_sent_later_and_nothing_before_it(
    subscribe, notify_silently, without_table
):
    take_table, bring_table_back = without_table
    subscription, socket = await subscribe()
    for n in (1, 2):
        await notify_silently(frame={"n": n})
    await take_table()
    await bring(message(2, '{"n":2}'))
    assert socket.notifications == []
    await bring_table_back()
    subscription.compare(row(2), sent=0)
    await until(lambda: socket.notifications == [{"n": 1}, {"n": 2}])


async def test_a_registration_stands_though_what_was_missed_cannot_be_read(
    subscribe, notify_silently, without_table
):
    take_table, bring_table_back = without_table
    await notify_silently(frame={"n": 1})
    socket = Server()

    async def send(event):
        if not socket.texts:
            await take_table()
        await socket.send(event)

    subscription, _ = await subscribe(last_seq=0, send=send)
    assert json.loads(socket.texts[0])["resumed"] is True
    await bring_table_back()
    subscription.compare(row(1), sent=0)
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


async def test_notifications_that_are_not_kept_are_passed(subscribe, notify_silently):
    subscription, socket = await subscribe()
    for _ in range(3):
        await notify_silently()
    await database_sync_to_async(Notification.objects.all().delete)()
    subscription.compare(row(3), sent=0)
    await until(lambda: subscription.cursor.seq == 3)
    await bring(message(4, '{"n":4}'))
    assert socket.notifications == [{"n": 4}]


async def test_a_client_that_takes_nothing_holds_up_no_comparison(subscribe, notify_silently):
    subscription, socket = await subscribe()
    await notify_silently(frame={"n": 1})
    socket.open.clear()
    for _ in range(3):
        subscription.compare(row(1), sent=0)
    socket.open.set()
    await until(lambda: socket.notifications == [{"n": 1}])


async def test_a_comparison_and_a_wake_at_once_send_once(subscribe, notify_silently):
    subscription, socket = await subscribe()
    for n in (1, 2):
        await notify_silently(frame={"n": n})
    subscription.compare(row(2), sent=0)
    await asyncio.gather(*(bring(message(seq, f'{{"n":{seq}}}')) for seq in (2, 1, 2)))
    await until(lambda: not subscription._is_pumping)
    assert socket.notifications == [{"n": 1}, {"n": 2}]


async def test_after_its_end_nothing_is_sent(subscribe, notify_silently):
    subscription, socket = await subscribe()
    await notify_silently()
    subscription.stop()
    subscription.compare(row(1), sent=0)
    await bring(message(1))
    assert socket.notifications == []


async def test_a_client_that_has_gone_raises_nothing_but_that(subscribe):
    async def send(event):
        raise ClientGoneError

    with pytest.raises(ClientGoneError):
        await subscribe(send=send)


async def test_with_latest_a_subscription_that_is_not_the_newest_is_closed_once(subscribe, settings):
    settings.NOTIFICATIONS_CONNECTIONS = "latest"
    subscription, socket = await subscribe(connection_id="a")
    subscription.compare(row(0, latest="a"), sent=0)
    for _ in range(3):
        subscription.compare(row(0, latest="b"), sent=0)
    await until(lambda: socket.closed)
    assert socket.closed == [4409]
    await bring(message(1))
    assert socket.notifications == []


async def test_with_all_nobody_is_replaced(subscribe):
    subscription, socket = await subscribe(connection_id="a")
    subscription.compare(row(0, latest="b"), sent=0)
    await bring(message(1))
    assert len(socket.notifications) == 1
    assert socket.closed == []


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("last_seq", [None, 0])
async def test_the_pump_sends_each_once_in_order_whatever_is_lost_late_or_fails(
    subscribe, notify_silently, monkeypatch, seed, last_seq
):
    chance = random.Random(seed)
    read, late = history.read_after, []

    def read_or_fail(**what):
        if chance.random() < 0.3:
            raise OperationalError
        return read(**what)

    monkeypatch.setattr(history, "read_after", read_or_fail)
    monkeypatch.setattr("notifications.delivery.subscription.GRACE_SECONDS", 0)
    subscription, socket = await subscribe(last_seq=last_seq)
    for n in range(1, 41):
        await notify_silently(frame={"n": n})
        late += [n] * chance.choice([0, 1, 1, 1, 2])
        chance.shuffle(late)
        while late and chance.random() < 0.6:
            hub.current().listener._take(message(late[-1], f'{{"n":{late.pop()}}}'))
        if chance.random() < 0.1:
            subscription.compare(row(n), sent=subscription.cursor.seq)
    while subscription.cursor.seq < 40:
        subscription.compare(row(40), sent=subscription.cursor.seq)
        await asyncio.sleep(0.01)
    assert [frame["n"] for frame in socket.notifications] == list(range(1, 41))

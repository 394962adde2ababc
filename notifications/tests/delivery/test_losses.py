"""A database that has lost commits, as after a failover or a restore, and gives numbers again."""

import time

import pytest
from channels.db import database_sync_to_async
from django.core.management import call_command
from django.db import transaction

from notifications import feed, installation, metrics
from notifications.delivery import history, hub, losses
from notifications.delivery.cursor import Doubt
from notifications.fanout import publish
from notifications.fanout.publish import Wake
from notifications.models import Feed, Installation, Notification
from notifications.tests.conftest import total, until

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])


@database_sync_to_async
def lose_after(seq, *, user_id="user_123"):
    """Take the database back to when this number was the newest."""
    Notification.objects.filter(feed__user_id=user_id, seq__gt=seq).delete()
    Feed.objects.filter(user_id=user_id).update(last_seq=seq)


@database_sync_to_async
def lose_feed(*, user_id="user_123"):
    Notification.objects.filter(feed__user_id=user_id).delete()
    Feed.objects.filter(user_id=user_id).delete()


@database_sync_to_async
def lose_epoch():
    """Stand in for a new timeline of PostgreSQL."""
    Installation.objects.update(epoch="another")


@pytest.fixture
def notify_numbers(notify_user):
    """Return a function that notifies a user of as many payments as there are numbers."""

    async def notify_of(*numbers, user_id="user_123"):
        for n in numbers:
            await notify_user(user_id, frame={"n": n}, collapse_key=f"payment:{n}")

    return notify_of


async def read_all(client, count):
    return [await client.read() for _ in range(count)]


@pytest.mark.parametrize("lose", [lambda: lose_after(1), lose_feed])
async def test_who_was_sent_what_is_lost_is_sent_away_and_cannot_resume(connect, notify_numbers, lose):
    plain, counting = await connect(), await connect()
    await plain.register()
    epoch = (await counting.register(lastSeq=0))["epoch"]
    await notify_numbers(1, 2, 3)
    await read_all(plain, 3)
    await read_all(counting, 3)

    await lose()

    assert await plain.read_close() == await counting.read_close() == 4412
    counting, plain = await connect(), await connect()
    answer = await counting.register(lastSeq=3, epoch=epoch)
    assert answer["resumed"] is False
    assert answer["epoch"] != epoch
    assert answer["lastSeq"] < 3
    assert list(await plain.register()) == ["type", "message", "userId"]
    await notify_numbers("new")
    assert (await counting.read())["n"] == "new"
    frames = [await plain.read()]
    while frames[-1] != {"n": "new"}:
        frames.append(await plain.read())
    assert {"n": 3} not in frames


@pytest.mark.parametrize("lose", [lambda: lose_after(1), lose_feed])
async def test_a_number_that_is_given_again_at_once_ends_the_connection(connect, notify_numbers, lose):
    """Before anybody compared: the feed is as long again, or longer, as what was sent from it."""
    counting = await connect()
    epoch = (await counting.register(lastSeq=0))["epoch"]
    await notify_numbers(1, 2, 3)
    await read_all(counting, 3)

    await lose()
    await notify_numbers("a", "b", "c", "d")

    assert await counting.read_close() == 4412
    counting = await connect()
    assert (await counting.register(lastSeq=3, epoch=epoch))["resumed"] is False


@pytest.mark.parametrize("epoch_is_sent", [True, False])
async def test_a_number_that_was_given_again_meanwhile_is_not_taken_for_the_old_one(
    connect, notify_numbers, epoch_is_sent
):
    client = await connect()
    epoch = (await client.register(lastSeq=0))["epoch"]
    await notify_numbers(1, 2, 3)
    await read_all(client, 3)
    await lose_after(1)
    assert await client.read_close() == 4412
    await notify_numbers("new 2", "new 3", "new 4")

    again = await connect()
    answer = await again.register(lastSeq=3, **({"epoch": epoch} if epoch_is_sent else {}))

    assert (answer["lastSeq"], answer["resumed"]) == (4, False)
    assert (await again.register(lastSeq=3, epoch=answer["epoch"]))["resumed"] is True
    assert await again.read() == {"n": "new 4", "seq": 4}


async def test_with_a_new_epoch_everybody_is_sent_away_however_far_the_numbers_have_come(
    connect, notify_numbers
):
    plain, counting, other = await connect(), await connect(), await connect()
    await plain.register()
    old = (await counting.register(lastSeq=0))["epoch"]
    await other.register("somebody else", lastSeq=0)

    await lose_epoch()

    assert [await client.read_close() for client in (plain, counting, other)] == [4412] * 3
    again = await connect()
    answer = await again.register(lastSeq=0, epoch=old)
    assert (answer["resumed"], answer["epoch"] != old) == (True, True)
    await notify_numbers(1)
    assert await again.read() == {"n": 1, "seq": 1}


async def test_in_the_first_epoch_a_number_without_one_is_resumed(connect, notify_numbers):
    await notify_numbers(1, 2)
    client = await connect()
    assert (await client.register(lastSeq=1))["resumed"] is True
    assert await client.read() == {"n": 2, "seq": 2}


@database_sync_to_async
def begin_by_command():
    call_command("new_epoch", verbosity=0)


@pytest.mark.parametrize("end_epoch", [lose_epoch, begin_by_command])
@pytest.mark.parametrize("new", [0, 1, 2, 3])
async def test_once_an_epoch_has_ended_a_number_without_one_may_be_of_it(
    connect, notify_numbers, end_epoch, new
):
    """However far the feed has come in the new one: nobody knows how far it had come in the old one."""
    client = await connect()
    await client.register(lastSeq=0)
    await notify_numbers(1, 2)
    await read_all(client, 2)
    await lose_after(1)
    await end_epoch()
    await notify_numbers(*range(new))

    for seq in (1, 2, 3):
        assert (await (await connect()).register(lastSeq=seq))["resumed"] is False
    answer = await (await connect()).register(lastSeq=0)
    assert (answer["lastSeq"], answer["resumed"]) == (1 + new, True)  # who has got nothing is sent everything


@pytest.mark.parametrize("end_epoch", [lose_epoch, begin_by_command])
async def test_a_client_that_has_got_nothing_is_sent_everything_whichever_epoch_it_knows(
    connect, notify_numbers, end_epoch
):
    client = await connect()
    old = (await client.register(lastSeq=0))["epoch"]
    await end_epoch()
    await notify_numbers(1, 2)

    for epoch in (old, "never heard of", None):
        again = await connect()
        answer = await again.register(lastSeq=0, **({"epoch": epoch} if epoch else {}))
        assert (answer["lastSeq"], answer["resumed"]) == (2, True)
        assert await again.read() == {"n": 1, "seq": 1}
        assert await again.read() == {"n": 2, "seq": 2}
        assert (await (await connect()).register(lastSeq=1, epoch=old))["resumed"] is False


async def test_where_the_command_is_the_first_that_makes_the_row_numbers_were_given_before(
    connect, notify_numbers
):
    await notify_numbers(1)
    await database_sync_to_async(Installation.objects.all().delete)()
    await begin_by_command()
    assert (await (await connect()).register(lastSeq=1))["resumed"] is False


async def test_the_command_sends_everybody_away_and_they_come_back(connect, notify_numbers):
    client = await connect()
    epoch = (await client.register(lastSeq=0))["epoch"]
    await begin_by_command()
    assert await client.read_close() == 4412
    client = await connect()
    answer = await client.register(lastSeq=0, epoch=epoch)
    assert (answer["resumed"], answer["epoch"] != epoch) == (True, True)
    await notify_numbers(1)
    assert await client.read() == {"n": 1, "seq": 1}


async def test_a_wake_of_another_epoch_shows_nothing_and_the_true_one_comes(connect, notify_user):
    client = await connect()
    await client.register()
    identity = installation.known()._replace(epoch="of the old primary")
    refused = total(metrics.REFUSED)
    await publish.send([publish.message(Wake("user_123", 1, '{"n":"lost"}'), identity)])
    await until(lambda: total(metrics.REFUSED) == refused + 1)
    await notify_user(frame={"n": "true"})
    assert await client.read() == {"n": "true"}
    assert await client.is_silent()


async def test_a_wake_of_a_new_epoch_has_the_connection_of_the_old_one_sent_away_at_once(
    connect, monkeypatch
):
    monkeypatch.setattr("notifications.delivery.reconciler.INTERVAL_SECONDS", 60)
    client = await connect()
    await client.register()
    await lose_epoch()
    new = await database_sync_to_async(installation.read)()
    await publish.send([publish.message(Wake("user_123", 1, '{"n":"new"}'), new)])
    assert await client.read_close() == 4412


async def test_a_number_of_a_timeline_that_has_ended_wakes_nobody(connect):
    client = await connect()
    await client.register()
    failures = total(metrics.WAKE_FAILURES)
    await database_sync_to_async(publish.publish)([Wake("user_123", 1, '{"n":"lost"}')], segment="00000099")
    assert total(metrics.WAKE_FAILURES) == failures + 1
    assert await client.is_silent()


async def test_with_latest_a_connection_whose_claim_is_lost_does_not_hear_that_it_was_replaced(
    connect, settings
):
    settings.NOTIFICATIONS_CONNECTIONS = "latest"
    client = await connect()
    await client.register()
    await lose_feed()
    assert await client.read_close() == 4412


async def test_registering_again_on_the_same_connection_goes_on_in_its_epoch_alone(
    connect, notify_numbers, notify_silently, monkeypatch
):
    monkeypatch.setattr(installation, "FRESH_SECONDS", 0)
    client = await connect()
    await client.register()
    await notify_numbers(1, 2)
    await read_all(client, 2)
    await lose_after(1)
    await lose_epoch()
    for n in ("new 2", "new 3"):
        await notify_silently(frame={"n": n}, collapse_key=n)
    assert (await client.register())["type"] == "registration_success"
    assert await read_all(client, 3) == [{"n": 1}, {"n": "new 2"}, {"n": "new 3"}]


# What is confirmed


@database_sync_to_async
def confirm(seq, *, epoch=None):
    return history.confirm({"user_123": seq}, epoch=epoch or installation.read().epoch)


@database_sync_to_async
def confirmed():
    return Feed.objects.values_list("confirmed_seq", flat=True).get()


async def test_a_number_that_a_feed_has_not_given_confirms_nothing_of_what_will_have_it(
    connect, notify_numbers
):
    await notify_numbers(1)
    assert await confirm(3) == set()
    assert await confirmed() == 0
    await notify_numbers("new 2", "new 3")
    client = await connect()
    await client.register()
    assert await read_all(client, 3) == [{"n": 1}, {"n": "new 2"}, {"n": "new 3"}]


async def test_a_number_of_an_epoch_that_has_ended_confirms_nothing(notify_numbers):
    await notify_numbers(1, 2, 3)
    epoch = (await database_sync_to_async(installation.read)()).epoch
    written = hub.current().confirmations.add(user_id="user_123", seq=1, epoch=epoch)
    await written
    await lose_epoch()
    written = hub.current().confirmations.add(user_id="user_123", seq=2, epoch=epoch)
    await written
    assert await confirmed() == 1
    new = (await database_sync_to_async(installation.read)()).epoch
    hub.current().confirmations.add(user_id="user_123", seq=3, epoch=epoch)
    written = hub.current().confirmations.add(user_id="user_123", seq=2, epoch=new)
    await written
    assert await confirmed() == 2


# What only seems to be lost


async def test_a_read_that_was_merely_late_ends_nothing(connect, notify_numbers):
    """As behind a pooler that asks a standby, which is behind for a moment."""
    await notify_numbers(1, 2)
    epoch = (await database_sync_to_async(installation.read)()).epoch
    has_lost = database_sync_to_async(losses.has_lost)
    assert await has_lost(Doubt(2), user_id="user_123", epoch=epoch) is False
    assert (await database_sync_to_async(installation.read)()).epoch == epoch
    assert await has_lost(Doubt(3), user_id="user_123", epoch=epoch) is True


async def test_what_comes_while_feeds_are_read_is_not_taken_for_lost(connect, monkeypatch):
    client = await connect()
    await client.register()
    read, numbers = history.read_rows, []

    def read_and_be_late(**of_whom):
        states = read(**of_whom)
        with transaction.atomic():
            numbers.append(feed.notify(user_id="user_123", frame={"n": 1}, collapse_key="", expires_at=None))
        time.sleep(0.1)  # in which the connection is sent it
        return states

    monkeypatch.setattr(history, "read_rows", read_and_be_late)
    for _ in range(2):
        assert await client.read() == {"n": 1}
    await until(lambda: len(numbers) > 2)
    assert await client.read() == {"n": 1}

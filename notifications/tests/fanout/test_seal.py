"""Strangers who can write to Redis, and other installations there."""

import pytest
from asgiref.sync import sync_to_async
from hypothesis import given
from hypothesis import strategies as st

from notifications import installation, metrics
from notifications.delivery import hub
from notifications.fanout import publish, seal
from notifications.fanout.publish import Wake
from notifications.tests.conftest import layer_in_use, redis_layer, total, until

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda values: st.lists(values) | st.dictionaries(st.text() | st.integers(), values),
    max_leaves=8,
)
MESSAGE = {"type": "feed.notification", "group": "user.1", "epoch": "e", "seq": 7, "frame": '{"n":7}'}


def test_what_was_sealed_is_ours():
    assert seal.is_ours(seal.sealed(MESSAGE))


@pytest.mark.parametrize("key", MESSAGE)
def test_a_seal_is_of_all_that_a_message_says(key):
    message = seal.sealed(MESSAGE)
    assert not seal.is_ours(message | {key: "another"})
    assert not seal.is_ours(message | {"more": 1})
    del message[key]
    assert not seal.is_ours(message)


def test_a_seal_of_another_key_is_not_ours(settings):
    message = seal.sealed(MESSAGE)
    name = seal.group_name("user", "installation", "ada")
    settings.SECRET_KEY = "another key"
    assert not seal.is_ours(message)
    assert seal.group_name("user", "installation", "ada") != name


def test_groups_differ_by_installation_and_user():
    names = {
        seal.group_name(*parts)
        for parts in (
            ("user", "1", "ada"),
            ("user", "2", "ada"),
            ("user", "1", "eve"),
            ("listener", "1", "ada"),
        )
    }
    assert len(names) == 4
    assert all(len(name) < 100 for name in names)


@given(ANY)
def test_nothing_that_somebody_makes_up_is_ours_or_raises(message):
    assert not seal.is_ours(message)
    assert not seal.is_ours({"seal": message})
    assert not seal.is_ours(MESSAGE | {"seal": message})
    assert not seal.is_ours(MESSAGE | {"frame": message, "seal": seal.sealed(MESSAGE)["seal"]})


# On a real Redis


@pytest.fixture
def on_redis(valkey, settings):
    settings.CHANNEL_LAYERS = redis_layer(valkey.port)


def wake(seq, frame):
    return publish.message(Wake("user_123", seq, frame), installation.known())


PHISH = '{"type":"payment_url","paymentUrl":"https://evil.example/"}'


def without_seal():
    group, message = wake(1, PHISH)
    return group, {key: value for key, value in message.items() if key != "seal"}


def with_a_seal_made_up():
    group, message = wake(1, PHISH)
    return group, message | {"seal": "0" * 64}


def with_the_seal_of_another_frame():
    group, message = wake(1, '{"n":1}')
    return group, message | {"frame": PHISH}


def with_the_seal_of_another_users():
    _, message = publish.message(Wake("somebody else", 1, PHISH), installation.known())
    group = publish.group_name("user_123", installation.known())
    return group, message | {"group": group}


@pytest.mark.django_db(transaction=True, available_apps=["notifications"])
@pytest.mark.usefixtures("on_redis")
@pytest.mark.parametrize(
    "forge",
    [without_seal, with_a_seal_made_up, with_the_seal_of_another_frame, with_the_seal_of_another_users],
)
async def test_a_wake_that_is_forged_shows_nothing_and_takes_nothing_away(
    connect, notify_user, caplog, forge
):
    client = await connect()
    await client.register()
    refused = total(metrics.REFUSED)

    for _ in range(100):
        await layer_in_use().group_send(*forge())

    await until(lambda: total(metrics.REFUSED) == refused + 100)
    await notify_user(frame={"n": "true"})
    assert await client.read() == {"n": "true"}
    assert await client.is_silent()
    assert sum("not sealed" in record.getMessage() for record in caplog.records) <= 1
    assert "evil" not in caplog.text


@pytest.mark.django_db(transaction=True, available_apps=["notifications"])
@pytest.mark.usefixtures("on_redis")
async def test_old_wakes_that_are_played_again_show_nothing(connect, notify_user):
    client, late = await connect(), await connect()
    await client.register()
    recorded = []
    for n in (1, 2, 3):
        await notify_user(frame={"n": n})
        assert await client.read() == {"n": n}
        recorded.append(wake(n, f'{{"n":{n}}}'))
    await late.register(lastSeq=2)
    assert await late.read() == {"n": 3, "seq": 3}

    for message in recorded * 2:
        await layer_in_use().group_send(*message)

    await notify_user(frame={"n": 4})
    assert await client.read() == {"n": 4}
    assert await late.read() == {"n": 4, "seq": 4}
    assert await client.is_silent()
    assert await late.is_silent()


@pytest.mark.django_db(transaction=True, available_apps=["notifications"])
@pytest.mark.usefixtures("on_redis")
async def test_what_a_stranger_sends_is_no_sign_that_the_line_is_heard(connect):
    client = await connect()
    await client.register()
    ours = hub.current().listener
    ours._unheard = 2
    refused = total(metrics.REFUSED)
    await layer_in_use().group_send(*without_seal())
    await until(lambda: total(metrics.REFUSED) == refused + 1)
    assert ours._unheard >= 2


@pytest.mark.django_db(transaction=True, available_apps=["notifications"])
async def test_a_database_that_cannot_say_which_it_is_costs_the_wake_alone(without_table, monkeypatch):
    take_table, _ = without_table
    await take_table()
    monkeypatch.setattr(installation, "_ROW", "SELECT name, epoch FROM notifications_feed")
    failures = total(metrics.WAKE_FAILURES)
    await sync_to_async(publish.publish)([Wake("user_123", 1, "{}")], segment=None)
    assert total(metrics.WAKE_FAILURES) == failures + 1

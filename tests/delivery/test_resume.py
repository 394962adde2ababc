"""A client that says how far it got is sent the rest, in order, and nothing twice."""

import pytest

from tests.support import backend, sandbox
from tests.support.frames import INVALID, numbered, registered, resumed, story


@pytest.fixture
def missed(server, user_id):
    """The three frames that nobody was there to hear."""
    payment = backend.ask(server, user_id)
    sandbox.choose(server, payment, "decline")
    sandbox.choose(server, payment, "pay")
    sandbox.wait_until_delivered(server)
    return story(payment, "failed", "succeeded")


def test_a_new_client_has_missed_nothing(server, connect, user_id):
    client = connect(server)

    assert client.register(user_id, lastSeq=0) == resumed(user_id, newest=0)

    payment = backend.ask(server, user_id)
    assert client.receive() == story(payment)[0] | {"seq": 1}


@pytest.mark.parametrize("last_seq", [0, 1, 2, 3])
def test_a_client_gets_what_it_missed_with_its_numbers(server, connect, user_id, missed, last_seq):
    client = connect(server)

    assert client.register(user_id, lastSeq=last_seq) == resumed(user_id, newest=3)

    payment = backend.ask(server, user_id)
    expected = numbered([*missed, *story(payment)])
    assert client.receive_until(expected[-1]) == expected[last_seq:-1]


def test_a_number_from_the_future_is_not_resumed(server, connect, user_id, missed):
    client = connect(server)

    assert client.register(user_id, lastSeq=4) == resumed(user_id, newest=3, resumed=False)

    payment = backend.ask(server, user_id)
    assert client.receive() == story(payment)[0] | {"seq": 4}


def test_a_number_that_is_no_longer_kept_is_not_resumed(server, connect, user_id, missed):
    feed = "SELECT id FROM notifications_feed WHERE user_id = %s"
    server.database.execute(
        f"DELETE FROM notifications_notification WHERE seq = 1 AND feed_id = ({feed})", user_id
    )
    gap, no_gap = connect(server), connect(server)

    assert gap.register(user_id, lastSeq=0) == resumed(user_id, newest=3, resumed=False)
    assert gap.receive_until_pong() == []
    assert no_gap.register(user_id, lastSeq=1) == resumed(user_id, newest=3)
    assert no_gap.receive_until_pong() == numbered(missed)[1:]


def test_a_client_that_does_not_count_is_sent_no_numbers(server, connect, user_id, missed):
    plain, counting = connect(server), connect(server)
    plain.register(user_id)
    counting.register(user_id, lastSeq=3)

    payment = backend.ask(server, user_id)

    assert [plain.receive(), plain.receive()] == [missed[-1], story(payment)[0]]
    assert counting.receive() == story(payment)[0] | {"seq": 4}


def test_an_epoch_that_has_ended_is_not_resumed_and_the_one_that_is_sent_then_is(
    server, connect, user_id, missed
):
    client = connect(server)
    assert client.register(user_id, lastSeq=1, epoch="before") == resumed(user_id, newest=3, resumed=False)
    epoch = client.register(user_id, lastSeq=3)["epoch"]

    assert client.register(user_id, lastSeq=1, epoch=epoch) == resumed(user_id, newest=3)
    assert client.receive_until_pong() == numbered(missed)[1:]


@pytest.mark.parametrize("epoch", [None, 1, ["a"]])
def test_what_is_no_epoch_is_no_valid_message(server, connect, user_id, epoch):
    client = connect(server)
    assert client.register(user_id, lastSeq=0, epoch=epoch) == INVALID


def test_a_plain_client_is_sent_no_epoch_whatever_it_sends(server, connect, user_id):
    client = connect(server)
    assert client.register(user_id, epoch="any") == registered(user_id)

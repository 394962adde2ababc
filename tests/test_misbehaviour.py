"""Events that come twice, late, in any order or not at all end as if they had come once and in order."""

import pytest

from tests import backend, sandbox
from tests.frames import registered, status, story


@pytest.fixture
def client(daphne, connect, user_id):
    client = connect(daphne)
    assert client.register(user_id) == registered(user_id)
    return client


@pytest.fixture
def deliver(daphne):
    """Choose how new events are delivered, until the end of the test."""
    yield lambda mode: sandbox.control(daphne, "set_mode", mode=mode)
    sandbox.control(daphne, "set_mode", mode="normal")


@pytest.mark.parametrize("mode", ["twice", "out_of_order"])
def test_a_long_story_is_told_as_usual(daphne, client, user_id, heard, deliver, mode):
    deliver(mode)
    payment = backend.ask(daphne, user_id)

    sandbox.choose(daphne, payment, "decline")
    sandbox.wait_until_delivered(daphne)
    sandbox.choose(daphne, payment, "delayed")
    sandbox.wait_until_delivered(daphne)
    sandbox.choose(daphne, payment, "delayed_succeeded")
    sandbox.wait_until_delivered(daphne)
    backend.refund(daphne, payment, 250)
    sandbox.wait_until_delivered(daphne)
    sandbox.open_dispute(daphne, payment)
    sandbox.wait_until_delivered(daphne)
    sandbox.close_dispute(daphne, payment, "won")

    told = ["failed", "processing", "succeeded", "partially_refunded", "disputed", "partially_refunded"]
    assert heard(daphne, client, user_id) == story(payment, *told)


def test_an_event_that_comes_twice_is_kept_once(daphne, user_id, deliver):
    deliver("twice")
    payment = backend.ask(daphne, user_id)

    sandbox.choose(daphne, payment, "pay")
    sandbox.wait_until_delivered(daphne)

    kept = daphne.database.execute(
        "SELECT deliveries FROM payments_webhookevent WHERE object_id = %s", payment["stripeSessionId"]
    )
    assert kept == [(2,)]


def test_a_failure_that_comes_after_the_success_is_not_told(daphne, client, user_id, heard, deliver):
    payment = backend.ask(daphne, user_id)
    deliver("late")
    sandbox.choose(daphne, payment, "decline")
    deliver("normal")

    sandbox.choose(daphne, payment, "pay")

    assert heard(daphne, client, user_id) == story(payment, "succeeded")
    assert backend.read(daphne, payment)["status"] == "succeeded"


def test_an_event_that_was_dropped_counts_once_it_is_sent_again(daphne, client, user_id, heard, deliver):
    payment = backend.ask(daphne, user_id)
    deliver("drop")
    sandbox.choose(daphne, payment, "pay")
    deliver("normal")
    assert heard(daphne, client, user_id) == story(payment)
    dropped = daphne.database.execute(
        "SELECT d.id FROM sandbox_delivery d JOIN sandbox_event e ON e.id = d.event_id "
        "JOIN sandbox_session s ON s.id = d.session_id WHERE s.stripe_id = %s ORDER BY d.id",
        payment["stripeSessionId"],
    )

    for (delivery,) in dropped:
        sandbox.control(daphne, "send_again", delivery=str(delivery))

    assert heard(daphne, client, user_id) == [status(payment, "succeeded")]

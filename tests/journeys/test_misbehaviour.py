"""Events that come twice, late, in any order or not at all end as if they had come once and in order."""

import pytest

from tests.support import backend, sandbox
from tests.support.frames import status, story


@pytest.fixture
def payment(server, rider):
    return backend.ask(server, rider.user_id)


@pytest.mark.parametrize("mode", ["twice", "out_of_order"])
def test_a_long_story_is_delivered_as_usual(server, rider, payment, deliver, mode):
    deliver(mode)

    sandbox.choose(server, payment, "decline")
    sandbox.wait_until_delivered(server)
    sandbox.choose(server, payment, "delayed")
    sandbox.wait_until_delivered(server)
    sandbox.settle(server, payment, "succeeded")
    sandbox.wait_until_delivered(server)
    backend.refund(server, payment, 250)
    sandbox.settle_refunds(server, payment)
    sandbox.wait_until_delivered(server)
    sandbox.open_dispute(server, payment)
    sandbox.wait_until_delivered(server)
    sandbox.close_dispute(server, payment, "won")

    statuses = ["failed", "processing", "succeeded", "partially_refunded", "disputed", "partially_refunded"]
    # A charge that is heard of alone says that it was refunded; the refund itself then says that it is under way.
    alone = [*statuses[:3], "partially_refunded", "succeeded", *statuses[3:]]
    assert rider.receive_all() in (story(payment, *statuses), story(payment, *alone))


def test_an_event_that_comes_twice_is_kept_once(server, payment, deliver):
    deliver("twice")

    sandbox.choose(server, payment, "pay")
    sandbox.wait_until_delivered(server)

    kept = server.database.execute(
        "SELECT deliveries FROM payments_webhookevent WHERE object_id = %s", payment["stripeSessionId"]
    )
    assert kept == [(2,)]


def test_a_failure_that_comes_after_the_success_is_not_delivered(server, rider, payment, deliver):
    deliver("late")
    sandbox.choose(server, payment, "decline")
    deliver("normal")

    sandbox.choose(server, payment, "pay")

    assert rider.receive_all() == story(payment, "succeeded")
    assert backend.read(server, payment)["status"] == "succeeded"


def test_an_event_that_was_dropped_counts_once_it_is_sent_again(server, rider, payment, deliver):
    deliver("drop")
    sandbox.choose(server, payment, "pay")
    deliver("normal")
    assert rider.receive_all() == story(payment)
    dropped = server.database.execute(
        "SELECT d.id FROM sandbox_delivery d JOIN sandbox_session s ON s.id = d.session_id"
        " WHERE s.stripe_id = %s ORDER BY d.id",
        payment["stripeSessionId"],
    )

    for (delivery,) in dropped:
        sandbox.control(server, "send_again", delivery=str(delivery))

    assert rider.receive_all() == [status(payment, "succeeded")]

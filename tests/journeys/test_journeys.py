"""From the request for a payment to its end, and every frame that the rider gets on the way."""

import json

import pytest

from tests.support import backend, sandbox
from tests.support.frames import status, story


@pytest.fixture
def payment(server, rider):
    """A payment whose rider is connected; nothing of it was heard yet."""
    return backend.ask(server, rider.user_id)


@pytest.fixture
def paid(server, payment):
    sandbox.choose(server, payment, "pay")
    sandbox.wait_until_delivered(server)
    return payment


def test_a_rider_gets_the_link_and_pays(server, rider, payment):
    answer = sandbox.choose(server, payment, "pay")

    assert answer.status_code == 303
    session = payment["stripeSessionId"]
    assert answer.headers["Location"] == f"{server.url}/checkout/success?session_id={session}"
    assert rider.receive_all() == story(payment, "succeeded")
    card = {"brand": "visa", "last4": "4242", "wallet": None}
    changed = {"status": "succeeded", "paymentUrl": None, "card": card}
    assert backend.read(server, payment) == payment | changed


def test_frames_have_the_guides_keys_in_the_guides_order(server, rider, payment):
    link = json.loads(rider.receive_text(), object_pairs_hook=list)
    sandbox.choose(server, payment, "pay")
    update = json.loads(rider.receive_text(), object_pairs_hook=list)

    assert [key for key, _ in link] == ["type", "rideId", "paymentUrl", "status"]
    assert [key for key, _ in update] == ["type", "rideId", "status", "stripeSessionId"]


def test_a_rider_whose_card_is_declined_pays_with_another(server, rider, payment):
    assert sandbox.choose(server, payment, "decline").status_code == 200
    assert rider.receive_until(status(payment, "failed")) == story(payment)
    assert backend.read(server, payment)["paymentUrl"] == payment["paymentUrl"]

    sandbox.choose(server, payment, "pay")

    assert rider.receive_all() == [status(payment, "succeeded")]


def test_a_delayed_payment_succeeds(server, rider, payment):
    assert sandbox.choose(server, payment, "delayed").status_code == 303
    assert rider.receive_until(status(payment, "processing")) == story(payment)

    sandbox.settle(server, payment, "succeeded")

    assert rider.receive_all() == [status(payment, "succeeded")]


def test_a_delayed_payment_fails(server, rider, payment):
    sandbox.choose(server, payment, "delayed")
    assert rider.receive_until(status(payment, "processing")) == story(payment)

    sandbox.choose(server, payment, "delayed_failed")

    assert rider.receive_all() == [status(payment, "failed")]


def test_a_payment_that_nobody_makes_expires(server, rider, payment):
    sandbox.stripe(server, "POST", f"checkout/sessions/{payment['stripeSessionId']}/expire")

    assert rider.receive_all() == story(payment, "expired")
    assert sandbox.choose(server, payment, "pay").status_code == 409


def test_the_backend_cancels_a_payment(server, rider, payment):
    backend.cancel(server, payment)

    assert rider.receive_all() == story(payment, "canceled")
    assert sandbox.choose(server, payment, "pay").status_code == 409


def test_a_rider_who_leaves_the_page_can_come_back(server, rider, payment):
    left = sandbox.choose(server, payment, "cancel")

    assert left.headers["Location"] == f"{server.url}/checkout/cancel"
    assert rider.receive_all() == story(payment)
    assert sandbox.choose(server, payment, "pay").status_code == 303
    assert rider.receive_all() == [status(payment, "succeeded")]


def test_a_payment_is_refunded_in_part_and_then_whole(server, rider, paid):
    backend.refund(server, paid, 250)
    sandbox.wait_until_delivered(server)
    backend.refund(server, paid)

    expected = story(paid, "succeeded", "partially_refunded", "refunded")
    assert rider.receive_all() == expected


def test_a_refund_made_at_stripe_is_delivered_too_and_so_is_its_failure(server, rider, paid):
    intent = sandbox.payment_intent(server, paid)
    refund = sandbox.stripe(server, "POST", "refunds", payment_intent=intent)
    sandbox.wait_until_delivered(server)
    sandbox.control(server, "fail_refund", refund=refund["id"])

    assert rider.receive_all() == story(paid, "succeeded", "refunded", "succeeded")


@pytest.mark.parametrize(("outcome", "last"), [("won", "succeeded"), ("lost", "charged_back")])
def test_a_dispute_is_opened_and_decided(server, rider, paid, outcome, last):
    sandbox.open_dispute(server, paid)
    sandbox.wait_until_delivered(server)
    sandbox.close_dispute(server, paid, outcome)

    assert rider.receive_all() == story(paid, "succeeded", "disputed", last)

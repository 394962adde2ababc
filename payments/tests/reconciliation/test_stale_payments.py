"""Payments that are open for long are asked for at the sandbox, whose events nobody delivers here."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from payments.checkout import cancel
from payments.models import Payment, StatusChange
from payments.status import Status
from payments.stripe import gateway
from payments.tests import broken_stripe
from payments.tests import stripe_events as stripe
from payments.tests.fetching import age, fetch, pay, start, status
from payments.tests.wire import frames
from payments.webhooks import apply, envelope
from stripe_sandbox.checkout import lifecycle, refunds
from stripe_sandbox.models import Event, Session
from stripe_sandbox.objects.event import render_event

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("stripe_api")]


def compare(payment, *arguments):
    """Ask for this payment alone: its events are not fetched."""
    return fetch("--payment", str(payment.pk), *arguments)


@pytest.fixture
def payment():
    return start()


def paid(session_id):
    lifecycle.pay(session_id=session_id)


def declined(session_id):
    lifecycle.decline(session_id=session_id)


def delayed(session_id):
    lifecycle.pay_later(session_id=session_id)


def delayed_and_confirmed(session_id):
    lifecycle.pay_later(session_id=session_id)
    lifecycle.settle(session_id=session_id, succeeded=True)


def delayed_and_rejected(session_id):
    lifecycle.pay_later(session_id=session_id)
    lifecycle.settle(session_id=session_id, succeeded=False)


def declined_and_paid(session_id):
    lifecycle.decline(session_id=session_id)
    lifecycle.pay(session_id=session_id)


def declined_and_delayed(session_id):
    lifecycle.decline(session_id=session_id)
    lifecycle.pay_later(session_id=session_id)


def expired(session_id):
    lifecycle.expire(session_id=session_id)


def declined_and_expired(session_id):
    lifecycle.decline(session_id=session_id)
    lifecycle.expire(session_id=session_id)


ENDS = {
    paid: Status.SUCCEEDED,
    declined: Status.FAILED,
    delayed: Status.PROCESSING,
    delayed_and_confirmed: Status.SUCCEEDED,
    delayed_and_rejected: Status.FAILED,
    declined_and_paid: Status.SUCCEEDED,
    declined_and_delayed: Status.PROCESSING,
    expired: Status.EXPIRED,
    declined_and_expired: Status.EXPIRED,
}


@pytest.mark.parametrize(("happen", "end"), ENDS.items(), ids=lambda each: getattr(each, "__name__", None))
def test_a_session_says_what_its_events_would_have_said(payment, happen, end):
    happen(payment.session_id)
    code, out = compare(payment)
    assert code == 0
    assert f"payment {payment.pk}, ride ride_1: pending → {end} (as Stripe has it)" in out
    assert "1 payment checked, 1 changed." in out
    payment.refresh_from_db()
    assert payment.status == end
    assert StatusChange.objects.get().cause == "reconciliation"
    sent, known = frames("a@b.com"), payment.facts.keys()
    assert [frame["status"] for frame in sent] == ["pending", end]
    for event in Event.objects.order_by("pk"):
        envelope.store(envelope.read(json.dumps(render_event(event, pending_webhooks=0)).encode()))
        apply.apply([event.stripe_id])
    payment.refresh_from_db()
    assert (payment.status, frames("a@b.com")) == (end, sent)
    assert payment.facts.keys() - known <= {
        "attempted",
        "processing",
        "failed",
        "failure",
        "charges",
        "completed_unpaid",
    }  # how it came to its end
    assert "0 changed" in compare(payment)[1]


def test_a_dry_run_says_what_would_change(payment):
    pay(payment)
    code, out = compare(payment, "--dry-run")
    assert code == 0
    assert "pending → succeeded" in out
    payment.refresh_from_db()
    assert (payment.status, payment.checked_at) == ("pending", None)
    assert not StatusChange.objects.exists()


def test_a_payment_is_asked_for_once_it_is_open_for_long_and_again_as_often(payment):
    assert "0 payments checked" in fetch()[1]
    age(minutes=61)
    assert "0 payments checked" in fetch("--pending-minutes", "62")[1]
    assert "1 payment checked" in fetch()[1]
    assert "0 payments checked" in fetch()[1]
    Payment.objects.update(checked_at=timezone.now() - timedelta(minutes=11))
    assert "0 payments checked" in fetch()[1]
    assert "1 payment checked" in fetch("--pending-minutes", "10")[1]


def test_what_has_ended_is_asked_for_no_more():
    for number, happen in enumerate(ENDS):
        happen(start(f"ride_{number}").session_id)
    assert "9 payments checked, 9 changed." in fetch("--user", "a@b.com")[1]
    Payment.objects.update(checked_at=None)
    age(hours=2)
    assert "3 payments checked, 0 changed." in fetch()[1]  # those that were declined, or wait for their bank


def test_another_sum_than_was_asked_for_is_flagged_and_pays_nothing(payment):
    Session.objects.update(amount_total=1)
    pay(payment)
    assert "0 changed" in compare(payment)[1]
    payment.refresh_from_db()
    assert payment.status == Status.PENDING
    assert payment.facts["paid"].keys() == {payment.payment_intent_id}
    assert payment.attention == "other_sum"


def test_what_waits_for_the_payments_intent_follows(payment, deliver):
    session = pay(payment)
    refund = refunds.refund(payment_intent_id=session.payment_intent.stripe_id)
    event = Event.objects.get(type="refund.updated")
    assert deliver(json.dumps(render_event(event, pending_webhooks=1)).encode()).state == "parked"
    compare(payment)
    payment.refresh_from_db()
    assert payment.status == Status.REFUNDED
    assert refund.stripe_id in payment.facts["refunds"]


def cut_short_cancel(payment, settings):
    """Let the process die between the wish to cancel and Stripe's answer."""
    there, down = settings.STRIPE_API_BASE, broken_stripe.error("Down.")
    with (
        broken_stripe.answering(lambda *_: (500, down)) as settings.STRIPE_API_BASE,
        pytest.raises(gateway.StripeUnavailable),
    ):
        cancel.cancel(payment_id=payment.pk, cause=StatusChange.Cause.API)
    settings.STRIPE_API_BASE = there


def test_a_cancel_that_was_cut_short_is_finished(payment, settings):
    cut_short_cancel(payment, settings)
    assert status(payment) == "pending"
    assert "pending → canceled" in compare(payment, "--dry-run")[1]
    assert "pending → canceled" in compare(payment)[1]
    assert status(payment) == "canceled"
    assert Session.objects.get().status == "expired"
    assert [frame["status"] for frame in frames("a@b.com")] == ["pending", "canceled"]


def test_a_payment_that_was_paid_before_its_cancel_reached_stripe_is_paid(payment, settings):
    cut_short_cancel(payment, settings)
    pay(payment)
    assert "pending → succeeded" in compare(payment)[1]


def test_no_text_of_stripes_or_of_a_ride_moves_the_cursor_of_a_terminal(payment, settings):
    Payment.objects.update(ride_id="ride\u202e1")
    hostile = broken_stripe.error("No\x1b[2J\nERROR forged", "invalid_request_error")
    with broken_stripe.answering(lambda *_: (400, hostile)) as settings.STRIPE_API_BASE:
        _, out = compare(payment)

    assert r"ride\u202e1: No\x1b[2J\nERROR forged" in out
    assert "\x1b" not in out


def test_a_session_of_another_key_ends_with_its_time(payment):
    Payment.objects.update(session_id="cs_test_of_another_key")
    code, out = compare(payment)
    assert (code, "No such checkout.session" in out) == (1, True), out
    assert "1 of them failed" in out
    assert status(payment) == "pending"
    Payment.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    assert "pending → expired" in compare(payment)[1]


def test_one_that_fails_fails_alone_and_an_outage_ends_the_run(settings, live_server):
    payments = [start(f"ride_{number}") for number in range(5)]
    broken, asked = [payments[number].session_id for number in (0, 1, 3)], []

    def answer(method, path):
        asked.append(path)
        if any(session_id in path for session_id in broken):
            return 500, broken_stripe.error("Down.")
        session = {"id": path.rpartition("/")[2].partition("?")[0], "object": "checkout.session"}
        return 200, session | {"status": "open", "payment_status": "unpaid", "payment_intent": None}

    with broken_stripe.answering(answer) as settings.STRIPE_API_BASE:
        code, out = fetch("--user", "a@b.com")
    assert code == 1
    assert f"payment {payments[1].pk}, ride ride_1: Down." in out
    assert "3 of them failed" in out
    assert "5 payments checked, 0 changed." in out
    assert len(asked) == 5
    with broken_stripe.answering(lambda *_: (500, broken_stripe.error("Down."))) as settings.STRIPE_API_BASE:
        code, out = fetch("--user", "a@b.com")
    assert "2 payments checked, 0 changed." in out
    assert "Stripe does not answer: Down." in out


def test_an_outage_is_reported_without_the_sessions_that_were_asked_for(payment, settings):
    settings.STRIPE_API_BASE = "http://127.0.0.1:1"
    code, out = compare(payment)
    assert (code, "Stripe cannot be reached (ConnectionError)." in out) == (1, True), out
    assert payment.session_id not in out


def test_an_answer_that_is_not_as_stripe_describes_it_adds_nothing(payment, settings):
    code, out = compare_with(settings, payment, amount_total="1250")
    assert (code, "'1250' is no amount in minor units" in out) == (1, True), out
    assert status(payment) == "pending"


def test_an_answer_about_another_session_adds_nothing(payment, settings):
    code, out = compare_with(settings, payment, id="cs_test_of_another", amount_total=1250)
    assert (code, "Stripe's answer could not be read" in out) == (1, True), out
    assert status(payment) == "pending"


def compare_with(settings, payment, **said):
    """Compare with a Stripe that says this of the session."""
    session = {"id": payment.session_id, "object": "checkout.session", "status": "complete"}
    session |= {"payment_status": "paid", "payment_intent": None, "currency": "usd"}
    with broken_stripe.answering(lambda *_: (200, session | said)) as settings.STRIPE_API_BASE:
        return compare(payment)


def test_an_event_that_the_session_said_first_is_news_no_more(payment, deliver):
    pay(payment)
    compare(payment)
    for body in stripe.bodies(stripe.paid(payment)):
        deliver(body)
    assert [frame["status"] for frame in frames("a@b.com")] == ["pending", "succeeded"]

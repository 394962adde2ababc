"""Calls to Stripe that were cut short are completed or given up, against the sandbox and real HTTP."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from payments.checkout import cancel, create, refund
from payments.models import Payment, RefundRequest, StatusChange
from payments.status import Status
from payments.stripe import gateway
from payments.tests import broken_stripe
from payments.tests.fetching import age, fetch, order, pay, start, status
from payments.tests.wire import frames
from stripe_sandbox.models import IdempotentRequest, Refund, Session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("stripe_api")]


@pytest.fixture
def unasked():
    """A payment whose process died before Stripe was asked, two minutes ago."""
    payment, _ = create._reserve(order=order(), key={"api_key": "", "idempotency_key": "key-1"})
    age(minutes=2)
    return payment


@pytest.fixture
def unsaved():
    """A payment whose process died with Stripe's answer in its hands, two minutes ago."""
    payment = start(key="key-1")
    nothing = {"session_id": None, "payment_url": "", "link_seq": None, "expires_at": None}
    Payment.objects.update(**nothing)
    frames_sent = frames("a@b.com")
    assert len(frames_sent) == 1
    age(minutes=2)
    return payment


def test_a_payment_that_never_reached_stripe_is_completed(unasked):
    code, out = fetch()
    assert code == 0
    assert f"payment {unasked.pk}, ride ride_1: completed, its link is handed over" in out
    assert "1 unfinished payment completed" in out
    payment = Payment.objects.get()
    assert payment.session_id == Session.objects.get().stripe_id
    assert [frame["paymentUrl"] for frame in frames("a@b.com")] == [payment.payment_url]
    assert start(key="key-1").pk == payment.pk
    assert "unfinished" not in fetch()[1]
    assert len(frames("a@b.com")) == 1


def test_a_session_whose_id_got_lost_is_found_by_its_key(unsaved):
    assert "1 unfinished payment completed" in fetch()[1]
    assert Payment.objects.get().session_id == unsaved.session_id
    assert Session.objects.count() == 1


def test_a_dry_run_completes_nothing(unasked):
    assert "1 unfinished payment completed" in fetch("--dry-run")[1]
    assert not Session.objects.exists()
    age(days=1)
    assert "1 unfinished payment given up" in fetch("--dry-run")[1]
    assert status(unasked) == "pending"


def test_a_payment_that_may_just_be_under_way_is_left_alone(unasked):
    age(seconds=30)
    assert "unfinished" not in fetch()[1]
    assert not Session.objects.exists()


def test_a_link_that_nobody_waits_for_is_given_up_and_its_ride_free(unasked):
    age(hours=24)
    code, out = fetch()
    assert code == 0
    assert "1 unfinished payment given up" in out
    payment = Payment.objects.get()
    assert (payment.status, payment.ride_claim) == (Status.CANCELED, None)
    assert StatusChange.objects.get().cause == "reconciliation"
    assert frames("a@b.com") == []
    assert not Session.objects.exists()
    assert start(amount=1300).status == "pending"


def test_what_stripe_refuses_is_given_up(settings):
    url, settings.PUBLIC_URL = settings.PUBLIC_URL, "nowhere"
    with pytest.raises(gateway.StripeRefused):
        start()
    settings.PUBLIC_URL = url
    age(minutes=2)
    code, out = fetch()
    assert code == 0
    assert "given up. Stripe refuses it: Not a valid URL" in out
    assert Payment.objects.get().status == Status.CANCELED


@pytest.mark.parametrize("code", [401, 403])
def test_a_key_that_stripe_does_not_take_gives_nothing_up(unasked, settings, code):
    refusal = broken_stripe.error("Invalid API Key", "invalid_request_error")
    with broken_stripe.answering(lambda *_: (code, refusal)) as settings.STRIPE_API_BASE:
        exit_code, out = fetch("--ride", "ride_1")
    assert (exit_code, "Stripe refuses STRIPE_SECRET_KEY" in out) == (1, True), out
    assert status(unasked) == "pending"


def test_an_error_of_stripes_is_another_request_the_next_time(unasked, settings):
    with broken_stripe.answering(lambda *_: (500, broken_stripe.error("Down."))) as settings.STRIPE_API_BASE:
        assert "Down." in fetch("--ride", "ride_1")[1]
    payment = Payment.objects.get()
    assert (payment.attempt, payment.status) == (unasked.attempt + 1, "pending")


def test_a_request_and_a_run_at_once_make_one_session_and_one_link(unasked):
    barrier, ends = threading.Barrier(4), []

    def run(work):
        barrier.wait()
        try:
            ends.append(work())
        except gateway.StripeUnavailable as error:  # another request with the key is under way
            ends.append(error)
        connection.close()

    works = [lambda: start(key="key-1"), fetch] * 2
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fetch()
    assert len(ends) == 4
    assert Session.objects.count() == 1
    assert len(frames("a@b.com")) == 1
    assert status(unasked) == "pending"


def test_a_payment_that_got_its_session_meanwhile_is_not_given_up(unsaved):
    stale = Payment.objects.get()
    start(key="key-1")
    assert cancel.give_up(stale, reason="too late", cause=StatusChange.Cause.RECONCILIATION) is False
    assert status(unsaved) == "pending"


@pytest.fixture
def paid():
    payment = start()
    session = pay(payment)
    payment.payment_intent_id = session.payment_intent.stripe_id
    payment.facts |= {"paid": {payment.payment_intent_id: {"1250 usd": 1}}}
    payment.status = Status.SUCCEEDED
    payment.save()
    return payment


def give_back(payment, amount, key):
    return refund.refund(
        payment_id=payment.pk,
        amount=amount,
        payment_intent_id=None,
        idempotency_key=key,
        cause=StatusChange.Cause.API,
    )


def age_requests(**since):
    RefundRequest.objects.update(created_at=timezone.now() - timedelta(**since))


@pytest.fixture
def unasked_refund(paid):
    """A refund whose process died before Stripe was asked, two minutes ago."""
    refund.reserve(
        payment_id=paid.pk, amount=500, intent_id=None, key={"api_key": "", "idempotency_key": "key-1"}
    )
    age_requests(minutes=2)
    return paid


@pytest.fixture
def unsaved_refund(paid):
    """A refund that Stripe made, and whose answer got lost, two minutes ago."""
    give_back(paid, 500, "key-1")
    RefundRequest.objects.update(refund_id="", refund_status="")
    intent_id = paid.payment_intent_id
    facts = {"asked": "1250 usd", "paid": {intent_id: {"1250 usd": 1}}}
    Payment.objects.update(facts=facts, status="succeeded")
    age_requests(minutes=2)
    return paid


def of(payment):
    """Look at this payment alone, so that no event is fetched."""
    return fetch("--payment", str(payment.pk))


def test_a_refund_that_never_reached_stripe_is_made(unasked_refund):
    code, out = of(unasked_refund)
    assert code == 0
    assert f"refund of 5.00 USD, payment {unasked_refund.pk}, ride ride_1: made" in out
    assert "1 unfinished refund completed" in out
    assert status(unasked_refund) == "partially_refunded"
    assert give_back(unasked_refund, 500, "key-1").refund_id == Refund.objects.get().stripe_id
    assert frames("a@b.com")[-1]["status"] == "partially_refunded"


@pytest.mark.parametrize("age_of_it", [{"minutes": 2}, {"days": 3}])
def test_a_refund_whose_answer_got_lost_is_found_and_not_made_again(unsaved_refund, age_of_it):
    age_requests(**age_of_it)
    IdempotentRequest.objects.all().delete()  # Stripe has forgotten the key
    assert ": found at Stripe" in of(unsaved_refund)[1]
    assert RefundRequest.objects.get().refund_id == Refund.objects.get().stripe_id
    assert status(unsaved_refund) == "partially_refunded"


def test_a_refund_that_was_not_made_within_a_day_is_given_up_and_can_be_asked_for_again(unasked_refund):
    age_requests(hours=25)
    assert "1 unfinished refund given up" in of(unasked_refund)[1]
    assert not Refund.objects.exists()
    assert "unfinished" not in of(unasked_refund)[1]
    give_back(unasked_refund, 500, "key-1")
    assert RefundRequest.objects.get().abandoned_at is None
    assert Refund.objects.count() == 1


def test_a_refund_that_was_given_up_and_is_cut_short_again_is_looked_after_again(unasked_refund):
    age_requests(hours=25)
    of(unasked_refund)
    refund.reserve(
        payment_id=unasked_refund.pk,
        amount=500,
        intent_id=None,
        key={"api_key": "", "idempotency_key": "key-1"},
    )
    assert "1 unfinished refund given up" in of(unasked_refund)[1]


def test_an_old_refund_that_is_asked_for_again_is_looked_for_before_it_is_made(unsaved_refund):
    """Stripe has forgotten its key: the same request would be a second refund."""
    age_requests(hours=25)
    IdempotentRequest.objects.all().delete()
    again = give_back(unsaved_refund, 500, "key-1")
    assert again.refund_id == Refund.objects.get().stripe_id


def test_a_dry_run_refunds_nothing(unasked_refund):
    assert ": made" in fetch("--payment", str(unasked_refund.pk), "--dry-run")[1]
    age_requests(hours=25)
    assert ": given up" in fetch("--payment", str(unasked_refund.pk), "--dry-run")[1]
    assert not Refund.objects.exists()
    assert RefundRequest.objects.get().abandoned_at is None


def test_a_refund_that_stripe_refuses_is_given_up(unasked_refund):
    RefundRequest.objects.update(amount=9999)
    assert "given up, Stripe refuses it: Refund amount" in of(unasked_refund)[1]
    assert not RefundRequest.objects.exists()


def test_a_refund_is_kept_where_stripe_refuses_the_key_alone(unasked_refund, settings):
    refusal = broken_stripe.error("Invalid API Key", "invalid_request_error")
    with broken_stripe.answering(lambda *_: (401, refusal)) as settings.STRIPE_API_BASE:
        with pytest.raises(gateway.StripeKeyRefused):
            give_back(unasked_refund, 500, "key-1")
        assert "Stripe refuses STRIPE_SECRET_KEY" in of(unasked_refund)[1]
    assert RefundRequest.objects.exists()


def test_two_runs_at_once_refund_once(unasked_refund):
    barrier, codes = threading.Barrier(2), []

    def run():
        barrier.wait()
        codes.append(of(unasked_refund))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    of(unasked_refund)
    assert len(codes) == 2
    assert Refund.objects.count() == 1
    assert RefundRequest.objects.get().refund_id == Refund.objects.get().stripe_id


def test_an_order_is_the_same_request_for_a_run_as_for_its_backend():
    """The key and the parameters are the row's own: nothing of them depends on who asks, or when."""
    payment, _ = create._reserve(order=order(), key={"api_key": "", "idempotency_key": None})
    assert create.complete(payment).session_id == create.complete(payment).session_id
    assert Session.objects.count() == 1

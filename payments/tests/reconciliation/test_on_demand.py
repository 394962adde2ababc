"""A customer who comes back, and a backend that reads a payment: Stripe is asked in place of an event that got lost."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from payments.models import Payment
from payments.reconciliation import on_demand
from payments.status import Status
from payments.tests import broken_stripe
from payments.tests.fetching import age, pay, start, status
from payments.tests.wire import frames
from stripe_sandbox.checkout import lifecycle

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("stripe_api")]

KEY = {"Authorization": "Bearer dev-key"}


@pytest.fixture
def calls(settings):
    """What Stripe is asked."""
    with broken_stripe.in_front_of(settings.STRIPE_API_BASE, lambda _: None) as (url, calls):
        settings.STRIPE_API_BASE = url
        yield calls


@pytest.fixture
def payment(calls):
    payment = start()
    calls.clear()
    return payment


@pytest.fixture
def come_back(client, payment):
    """Return a function that opens the page that Checkout leads to; it returns the page's text."""

    def get(method="get", session_id=payment.session_id, **headers):
        answer = getattr(client, method)("/checkout/success", {"session_id": session_id}, headers=headers)
        assert answer.status_code == 200
        return answer.content.decode()

    return get


def read(client, payment):
    answer = client.get(f"/api/payments/{payment.pk}", headers=KEY)
    assert answer.status_code == 200
    return answer.json()["status"]


def later(**since):
    """Let Stripe have been asked this long ago."""
    Payment.objects.update(checked_at=timezone.now() - timedelta(**since))


def test_checkout_leads_back_to_a_page_that_knows_the_session(payment):
    session = lifecycle.get_session(session_id=payment.session_id)
    assert session.params["success_url"].endswith("/checkout/success?session_id={CHECKOUT_SESSION_ID}")


def test_a_customer_whose_event_got_lost_reads_that_it_is_paid_and_so_does_the_app(payment, come_back, calls):
    pay(payment)
    assert "Your payment is paid." in come_back()
    assert "Your payment is paid." in come_back()
    assert len(calls) == 1
    assert [frame["status"] for frame in frames("a@b.com")] == ["pending", "succeeded"]


@pytest.mark.parametrize(
    ("happen", "words"),
    [
        (lambda session_id: lifecycle.pay_later(session_id=session_id), "is being processed"),
        (lambda _: None, "not known yet"),
        (lambda session_id: lifecycle.decline(session_id=session_id), "not known yet"),
        (lambda session_id: lifecycle.expire(session_id=session_id), "This link has ended"),
    ],
)
def test_a_customer_reads_what_stripe_knows(payment, come_back, happen, words):
    happen(payment.session_id)
    assert words in come_back()


def test_a_customer_reads_that_a_delayed_payment_failed_or_was_given_back(payment, come_back):
    Payment.objects.update(status=Status.FAILED, ride_claim=None)
    assert "did not go through" in come_back()
    Payment.objects.update(status=Status.REFUNDED)
    assert "given back" in come_back()


def test_stripe_is_asked_again_only_after_a_while(come_back, calls):
    come_back()
    come_back()
    assert len(calls) == 1
    later(seconds=11)
    come_back()
    assert len(calls) == 2


@pytest.mark.parametrize(
    "request_of_it",
    [
        {"method": "head"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X-Moz": "prefetch"},
        {"session_id": "cs_test_nobody_knows"},
        {"session_id": "cs_test_\x7f"},
        {"session_id": "cs_" + "x" * 5000},
        {"session_id": ""},
    ],
)
def test_nobody_asks_stripe_for_a_page_that_no_customer_reads(payment, come_back, calls, request_of_it):
    pay(payment)
    come_back(**request_of_it)
    assert calls == []
    assert status(payment) == "pending"


@pytest.mark.parametrize("ended", [Status.SUCCEEDED, Status.EXPIRED, Status.CANCELED, Status.REFUNDED])
def test_nobody_asks_stripe_about_a_payment_that_has_ended(client, payment, come_back, calls, ended):
    age(hours=1)
    Payment.objects.update(status=ended)
    come_back()
    read(client, payment)
    assert calls == []


def down(_, __):
    return 500, broken_stripe.error("Down.")


def strange(_, path):
    return 200, {
        "id": path.rpartition("/")[2].partition("?")[0],
        "status": "complete",
        "payment_status": "paid",
    }


def refusing(_, __):
    return 404, broken_stripe.error("No such checkout.session: 'cs_test_secret'", "invalid_request_error")


@pytest.mark.parametrize("answer", [down, strange, refusing])
def test_what_is_amiss_with_stripe_fails_neither_page_nor_reader(client, come_back, settings, caplog, answer):
    age(minutes=2)
    payment = Payment.objects.get()
    with broken_stripe.answering(answer) as settings.STRIPE_API_BASE:
        assert "not known yet" in come_back()
        later(hours=1)
        on_demand.limits.paused_until = 0
        assert read(client, payment) == "pending"
    assert str(payment.pk) in caplog.text
    assert "cs_" not in caplog.text


def test_an_outage_costs_one_reader_its_patience_and_leaves_the_payment_to_be_asked_about(
    client, payment, settings
):
    another = start("ride_2")
    age(minutes=2)
    with broken_stripe.in_front_of("", lambda _: broken_stripe.raw(503, b"")) as (url, calls):
        settings.STRIPE_API_BASE = url
        for each in (payment, another, payment):
            assert read(client, each) == "pending"
    assert 1 <= len(calls) <= 3  # the tries of one
    assert not Payment.objects.exclude(checked_at=None).exists()


def test_a_page_is_shown_while_the_database_is_away(come_back):
    def away(*_):
        raise OperationalError

    with connection.execute_wrapper(away):
        assert "not known yet" in come_back()


def test_a_reader_of_a_payment_that_is_older_than_a_minute_gets_what_stripe_knows(client, payment, calls):
    pay(payment)
    assert read(client, payment) == "pending"  # its event is on the way
    assert calls == []
    age(minutes=2)
    assert read(client, payment) == "succeeded"
    assert len(calls) == 1


def test_a_payment_that_is_read_often_is_asked_about_once_a_minute(client, payment, calls):
    age(minutes=2)
    for _ in range(3):
        assert read(client, payment) == "pending"
    assert len(calls) == 1
    later(seconds=50)
    read(client, payment)
    assert len(calls) == 1
    later(seconds=61)
    read(client, payment)
    assert len(calls) == 2


def test_many_readers_at_once_ask_once_and_wait_for_nobody(client, payment, settings, stripe_api):
    age(minutes=2)
    asked, go_on = threading.Event(), threading.Event()

    def slow(_):
        asked.set()
        go_on.wait(10)

    with broken_stripe.in_front_of(stripe_api.url, slow) as (settings.STRIPE_API_BASE, calls):
        first = threading.Thread(target=on_demand.for_client, args=(Payment.objects.get(),))
        first.start()
        assert asked.wait(10)
        try:
            assert [read(client, payment) for _ in range(3)] == ["pending"] * 3
        finally:
            go_on.set()
            first.join()
    assert len(calls) == 1


def test_a_process_has_few_looks_under_way(client, payment, calls):
    age(minutes=2)
    for _ in range(on_demand.CHECKS_MAX):
        on_demand.limits.places.acquire()
    assert read(client, payment) == "pending"
    assert calls == []
    on_demand.limits.places.release()
    read(client, payment)
    assert len(calls) == 1


@pytest.mark.parametrize("page", ["success", "cancel"])
def test_the_customer_is_led_back_into_the_app(client, payment, settings, page):
    Payment.objects.update(ride_id="ride 1&admin=1 🚕")
    path = f"/checkout/{page}?session_id={payment.session_id}"
    assert "You can close this page" in client.get(path).content.decode()
    settings.APP_SCHEME = "myapp"
    text = client.get(path).content.decode()
    ride = "?rideId=ride%201%26admin%3D1%20%F0%9F%9A%95" if page == "success" else ""
    assert f'href="myapp://checkout/{page}{ride}"' in text
    assert 'src="/static/bounce.js"' in text
    for secret in (payment.session_id, str(payment.pk), payment.payment_url):
        assert secret not in text


def test_the_page_is_kept_nowhere(client, payment):
    answer = client.get(f"/checkout/success?session_id={payment.session_id}")
    assert "no-store" in answer["Cache-Control"]

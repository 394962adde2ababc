"""Deliveries to a real HTTP server, step by step; the steps' times are passed in."""

import json
from datetime import timedelta

import pytest
import requests
import stripe
from django.test import override_settings
from django.utils import timezone

from stripe_sandbox import timing
from stripe_sandbox.checkout import lifecycle
from stripe_sandbox.events import behaviour, deliveries
from stripe_sandbox.models import Delivery, Session
from stripe_sandbox.tests.conftest import make_session

pytestmark = pytest.mark.django_db

MANY = 100
PAID = [
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "checkout.session.completed",
]


@pytest.fixture
def http():
    with requests.Session() as session:
        session.trust_env = False
        yield session


def expired_session() -> Session:
    """Return a session that sent one event."""
    return lifecycle.expire(session_id=make_session().stripe_id)


def deliver(http, *, now=None, limit=MANY) -> list[Delivery]:
    """Claim, send and record once, and return what was claimed."""
    now = now or timezone.now()
    claimed = deliveries.claim(now=now, limit=limit)
    for delivery in claimed:
        deliveries.record(deliveries.send(delivery, http=http, now=now), now=now)
    return claimed


def test_an_event_is_delivered_signed_and_whole(receiver, http, settings):
    session = expired_session()
    deliver(http)
    [(headers, body)] = receiver.received
    secret = settings.STRIPE_WEBHOOK_SECRETS[0]
    event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], secret)
    assert event.data.object["id"] == session.stripe_id
    assert json.loads(body)["pending_webhooks"] == 1
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("delivered", 1, 200)
    assert delivery.finished_at
    assert deliver(http, now=timezone.now() + timedelta(days=1)) == []


def test_the_signature_is_of_time_and_body():
    header = deliveries.signature(body=b"{}", secret="whsec_1", timestamp=1700000000)
    stripe.WebhookSignature.verify_header("{}", header, "whsec_1", tolerance=0)
    for body, secret in (("[]", "whsec_1"), ("{}", "whsec_2")):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(body, header, secret, tolerance=0)


def test_the_events_of_a_session_go_one_at_a_time_in_order(receiver, http):
    lifecycle.pay(session_id=make_session().stripe_id)
    claimed = deliveries.claim(now=timezone.now(), limit=MANY)
    assert [each.event.type for each in claimed] == PAID[:1]
    assert deliveries.claim(now=timezone.now(), limit=MANY) == []
    deliveries.record(deliveries.send(claimed[0], http=http, now=timezone.now()), now=timezone.now())
    while deliver(http):
        pass
    assert receiver.types == PAID


def test_sessions_do_not_wait_for_each_other(receiver, http):
    for _ in range(3):
        lifecycle.pay(session_id=make_session().stripe_id)
    assert len(deliveries.claim(now=timezone.now(), limit=2)) == 2
    assert len(deliveries.claim(now=timezone.now(), limit=2)) == 1


@pytest.mark.parametrize("status", [301, 302, 400, 404, 500, 503])
def test_whatever_is_no_2xx_is_tried_again(receiver, http, status):
    expired_session()
    receiver.answers = [status]
    now = timezone.now()
    deliver(http, now=now)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("pending", 1, status)
    assert delivery.due_at == now + timedelta(seconds=1)
    assert len(receiver.received) == 1  # no redirect is followed
    assert deliver(http, now=now + timedelta(seconds=0.9)) == []
    deliver(http, now=now + timedelta(seconds=1))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("delivered", 2, 200)


def test_tries_get_rarer_and_end(receiver, http):
    expired_session()
    receiver.answers = [500] * MANY
    now, waits = timezone.now(), []
    while deliver(http, now=now):
        due_at = Delivery.objects.get().due_at
        waits.append((due_at - now).total_seconds())
        now = max(due_at, now)
    delivery = Delivery.objects.get()
    assert waits == [1, 2, 4, 8, 16, 32, 64, 0]
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("failed", 8, 500)
    behaviour.send_again(delivery_id=delivery.pk)
    receiver.answers = []
    deliver(http)
    assert Delivery.objects.latest("pk").state == "delivered"


def test_a_try_that_failed_does_not_hold_up_the_next_event(receiver, http):
    lifecycle.pay(session_id=make_session().stripe_id)
    receiver.answers = [500]
    now = timezone.now()
    while deliver(http, now=now):
        pass
    deliver(http, now=now + timedelta(seconds=1))
    assert receiver.types == [PAID[0], *PAID[1:], PAID[0]]


def test_without_a_server_the_reason_is_kept_and_the_event_tried_again(receiver, http):
    expired_session()
    with override_settings(LOCAL_URL="http://localhost:1"):  # nobody listens there
        deliver(http)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("pending", 1, None)
    assert delivery.last_error == "ConnectionError"
    deliver(http, now=timezone.now() + timedelta(seconds=2))
    assert len(receiver.received) == 1


def test_a_delivery_is_claimed_by_one_and_taken_again_when_that_one_is_gone(receiver, http):
    expired_session()
    now = timezone.now()
    [lost] = deliveries.claim(now=now, limit=MANY)
    assert deliveries.claim(now=now + timing.DELIVERY_CLAIM, limit=MANY) == []
    later = now + timing.DELIVERY_CLAIM + timedelta(seconds=1)
    [taken] = deliveries.claim(now=later, limit=MANY)
    outcome = deliveries.Attempt(delivery=lost, status=500)
    deliveries.record(outcome, now=later)  # the first comes back after all: too late to say anything
    assert Delivery.objects.get().attempts == 0
    deliveries.record(deliveries.send(taken, http=http, now=later), now=later)
    assert Delivery.objects.get().state == "delivered"


def test_what_is_dropped_while_it_is_sent_is_not_tried_again_but_can_have_arrived():
    for status, state in ((500, "dropped"), (200, "delivered")):
        expired_session()
        [delivery] = deliveries.claim(now=timezone.now(), limit=MANY)
        behaviour.drop(delivery_id=delivery.pk)
        deliveries.record(deliveries.Attempt(delivery=delivery, status=status), now=timezone.now())
        delivery.refresh_from_db()
        assert delivery.state == state


@pytest.mark.parametrize(
    ("mode", "types"),
    [
        ("normal", PAID),
        ("twice", [type_ for type_ in PAID for _ in range(2)]),
        ("out_of_order", PAID[::-1]),
        ("drop", []),
    ],
)
def test_misbehaviour_is_what_arrives(receiver, http, mode, types):
    behaviour.set_mode(mode=mode)
    lifecycle.pay(session_id=make_session().stripe_id)
    while deliver(http):
        pass
    assert receiver.types == types


def test_late_events_are_overtaken_by_those_that_follow(receiver, http):
    session_id = make_session().stripe_id
    behaviour.set_mode(mode="late")
    lifecycle.decline(session_id=session_id)
    behaviour.set_mode(mode="normal")
    lifecycle.pay(session_id=session_id)
    now = timezone.now()
    while deliver(http, now=now):
        pass
    assert receiver.types == PAID[1:]
    while deliver(http, now=now + timing.LATE_BY):
        pass
    assert receiver.types == [*PAID[1:], PAID[0], "charge.failed", "payment_intent.payment_failed"]

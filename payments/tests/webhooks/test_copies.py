"""One event in several copies: while an endpoint's API version is raised, two endpoints send each event in two shapes.

Source: https://docs.stripe.com/webhooks/versioning
"""

import json

import pytest

from payments.models import WebhookEvent
from payments.tests import broken_stripe
from payments.tests import stripe_events as stripe
from payments.tests.fetching import fetch

pytestmark = pytest.mark.django_db(transaction=True)

OLD = "2019-12-03"


def two_copies(event, *missing):
    """Return a copy in an old version, which lacks some fields, and one that is read."""
    obj = {name: value for name, value in event["data"]["object"].items() if name not in missing}
    return event | {"api_version": OLD, "data": {"object": obj}}, event


def session(payment):
    event = stripe.event(payment, "checkout.session.completed", payment_status="paid")
    return two_copies(event, "payment_status", "amount_total", "currency")


def refund(payment):
    return two_copies(stripe.event(payment, "refund.created", of="re_1", amount=500), "status")


@pytest.mark.parametrize(("copies", "end"), [(session, "succeeded"), (refund, "partially_refunded")])
def test_a_copy_that_is_read_takes_the_place_of_one_that_is_not(make_payment, deliver, copies, end):
    payment = make_payment(session_id="cs_known")
    if copies is refund:
        deliver(json.dumps(stripe.paid(payment)[0]).encode())
    old, new = copies(payment)
    outcome = deliver(json.dumps(old).encode())
    assert (outcome.state, outcome.reason) == ("failed", "api_version")
    assert f"API version {OLD}, this service reads 2026-10-28.endive" in outcome.error
    assert deliver(json.dumps(new).encode()).state == "applied"
    payment.refresh_from_db()
    assert payment.status == end
    row = WebhookEvent.objects.get(event_id=new["id"])
    assert (row.state, row.error, row.deliveries) == ("applied", "", 2)
    assert row.api_version == "2026-10-28.endive"


def test_a_copy_that_is_not_read_takes_no_place_of_one_that_was_applied(make_payment, deliver):
    old, new = session(make_payment())
    deliver(json.dumps(new).encode())
    assert deliver(json.dumps(old).encode()).state == "applied"
    assert json.loads(WebhookEvent.objects.get().body)["api_version"] == new["api_version"]


def test_a_failed_event_is_mended_by_the_copy_that_is_fetched(make_payment, deliver, settings):
    payment = make_payment()
    old, new = session(payment)
    deliver(json.dumps(old).encode())
    page = {"object": "list", "data": [new], "has_more": False}
    with broken_stripe.answering(lambda *_: (200, page)) as settings.STRIPE_API_BASE:
        fetch("--since", "1h")
    payment.refresh_from_db()
    assert payment.status == "succeeded"


@pytest.mark.parametrize("type_", ["refund.created", "charge.dispute.created", "charge.refunded"])
def test_a_copy_that_names_its_payment_takes_the_place_of_one_that_does_not(make_payment, deliver, type_):
    payment = make_payment()
    deliver(json.dumps(stripe.paid(payment)[0]).encode())
    old, new = two_copies(stripe.event(payment, type_, of="x", amount_refunded=500), "payment_intent")
    assert deliver(json.dumps(old).encode()).state == "ignored"
    assert deliver(json.dumps(new).encode()).state == "applied"
    assert WebhookEvent.objects.get(event_id=new["id"]).payment == payment


def test_a_copy_that_names_no_payment_takes_no_place_of_one_that_does(make_payment, deliver):
    payment = make_payment()
    old, new = two_copies(stripe.event(payment, "charge.dispute.created", of="x"), "payment_intent")
    assert deliver(json.dumps(new).encode()).state == "parked"
    assert deliver(json.dumps(old).encode()).state == "parked"
    deliver(json.dumps(stripe.paid(payment)[0]).encode())
    payment.refresh_from_db()
    assert payment.status == "disputed"


@pytest.mark.parametrize(
    "version", [None, "", "2026-09-30.preview; " + "a_beta=v1; " * 60, "\0", 17, "2017-08-15"]
)
def test_a_field_that_is_only_shown_refuses_nothing(make_payment, deliver, version):
    event = stripe.event(make_payment(), "checkout.session.completed", payment_status="paid")
    assert deliver(json.dumps(event | {"api_version": version}).encode()).state == "applied"


def test_a_type_of_any_length_is_stored(make_payment, deliver):
    event = stripe.event(make_payment(), "charge.refunded") | {"type": "a_type_of_tomorrow." * 20}
    assert deliver(json.dumps(event).encode()).reason == "type"


def test_attempts_of_old_versions_are_distinguished_by_their_charges(make_payment, deliver):
    payment = make_payment()
    for type_, charge in (("payment_intent.payment_failed", "ch_1"), ("payment_intent.processing", "py_1")):
        event = stripe.event(payment, type_, charges={"data": [{"id": charge}]})
        del event["data"]["object"]["latest_charge"]
        deliver(json.dumps(event).encode())
    payment.refresh_from_db()
    assert payment.status == "processing"

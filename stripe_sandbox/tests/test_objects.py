import pytest
import stripe
from stripe.checkout import Session as StripeSession

from stripe_sandbox.api.parameters import API_VERSION
from stripe_sandbox.checkout import cards, disputes, fraud, lifecycle, refunds
from stripe_sandbox.models import Dispute, Event, Review, Session
from stripe_sandbox.objects.event import render_event
from stripe_sandbox.objects.session import render_session
from stripe_sandbox.tests.conftest import make_session
from stripe_sandbox.tests.description import problems
from stripe_sandbox.tests.published import objects as published

pytestmark = pytest.mark.django_db

CLASSES = {
    "checkout.session": StripeSession,
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "dispute": stripe.Dispute,
    "radar.early_fraud_warning": stripe.radar.EarlyFraudWarning,
    "review": stripe.Review,
}


def paid_later(currency: str) -> Session:
    session = make_session(currency=currency)
    lifecycle.pay_later(session_id=session.stripe_id)
    return lifecycle.settle(session_id=session.stripe_id, succeeded=True)


def everything_happens(session: Session) -> None:
    intent_id = session.payment_intent.stripe_id
    refund = refunds.refund(payment_intent_id=intent_id, amount=400, reason="duplicate")
    refunds.fail_refund(refund_id=refund.stripe_id)
    fraud.open_review(payment_intent_id=intent_id)
    dispute = disputes.open_dispute(payment_intent_id=intent_id, amount=500)
    disputes.close_dispute(dispute_id=dispute.stripe_id, won=True)
    for case_type in Dispute.CaseType:
        dispute = disputes.open_dispute(payment_intent_id=intent_id, amount=100, case_type=case_type)
        if case_type == Dispute.CaseType.INQUIRY:
            disputes.escalate(dispute_id=dispute.stripe_id)
    fraud.close_review(
        review_id=fraud.open_review(payment_intent_id=intent_id).stripe_id, reason=Review.Closed.APPROVED
    )


@pytest.mark.parametrize("currency", ["usd", "eur", "gbp", "cad", "aud", "jpy", "nok"])
def test_all_that_a_payment_by_a_delayed_method_emits_is_valid(currency):
    everything_happens(paid_later(currency))
    failing = make_session(currency=currency)
    lifecycle.pay_later(session_id=failing.stripe_id)
    lifecycle.settle(session_id=failing.stripe_id, succeeded=False)
    assert_events_are_valid()


@pytest.mark.parametrize("card", cards.CARDS.values())
def test_all_that_a_payment_by_card_emits_is_valid(card):
    session = make_session(customer_email="rider@example.com", locale="de", submit_type="book")
    lifecycle.decline(session_id=session.stripe_id)
    session = lifecycle.pay(session_id=session.stripe_id, card=card)
    intent_id = session.payment_intent.stripe_id
    fraud.warn(payment_intent_id=intent_id, fraud_type="misc")
    everything_happens(session)
    refunds.refund(payment_intent_id=intent_id, reason="fraudulent")
    assert_events_are_valid()


def test_all_that_a_session_emits_that_is_never_paid_is_valid():
    for why in cards.DECLINES.values():
        session = make_session()
        lifecycle.decline(session_id=session.stripe_id, why=why)
        lifecycle.expire(session_id=session.stripe_id)
    lifecycle.expire(session_id=make_session().stripe_id)
    lifecycle.pay(session_id=make_session(amount=0).stripe_id)
    assert_events_are_valid()


def assert_events_are_valid() -> None:
    events = [render_event(event, pending_webhooks=1) for event in Event.objects.all()]
    assert events
    for event in events:
        subject = event["data"]["object"]
        assert not problems(event, stripe.Event, "event")
        assert not problems(subject, CLASSES[subject["object"]], event["type"])
        assert not published.problems(subject)
        assert event["data"].get("previous_attributes", {}).keys() <= subject.keys()


def test_a_new_session_is_valid_and_so_are_its_line_items():
    session = make_session()
    rendered = render_session(session)
    assert not problems(rendered, StripeSession, "session")
    assert not published.problems(rendered)
    assert not [each for item in session.line_items for each in published.problems(item)]
    assert not problems(session.line_items, list[stripe.LineItem], "line_items")
    assert rendered["payment_intent"] is None
    assert rendered["url"].endswith(f"/sandbox/pay/{session.stripe_id}")


def test_the_check_itself_finds_what_is_wrong():
    rendered = render_session(make_session())
    del rendered["payment_method_types"]
    wrong = rendered | {
        "livemode": "no",
        "mode": "loan",
        "unheard_of": 1,
        "created": 1.5,
        "custom_fields": None,
    }
    wrong["total_details"] = {"amount_discount": 0, "amount_tax": "0"}
    found = {problem.split(":")[0] for problem in problems(wrong, StripeSession)}
    assert found == {
        ".created",
        ".custom_fields",
        ".livemode",
        ".mode",
        ".payment_method_types",
        ".total_details.amount_tax",
        ".unheard_of",
    }


def test_the_published_description_tells_null_from_absent():
    rendered = render_session(make_session())
    assert "presentment_details" not in rendered
    wrong = rendered | {"presentment_details": None, "mode": "loan", "unheard_of": 1, "created": "now"}
    wrong["line_items"] = {"object": "list", "data": [{"id": "li_1"}]}
    del wrong["recovered_from"]
    found = {problem.split(":")[0] for problem in published.problems(wrong)}
    assert found >= {
        "checkout.session.created",
        "checkout.session.line_items.data[0].quantity",
        "checkout.session.mode",
        "checkout.session.presentment_details",
        "checkout.session.recovered_from",
        "checkout.session.unheard_of",
    }


def test_the_published_description_is_of_the_version_that_stripe_python_is_made_for():
    assert published.DESCRIPTION["api_version"] == stripe.api_version


def test_events_carry_the_version_that_stripe_python_is_made_for():
    lifecycle.expire(session_id=make_session().stripe_id)
    event = render_event(Event.objects.get(), pending_webhooks=1)
    assert event["api_version"] == API_VERSION == stripe.api_version


def test_the_intent_has_its_own_metadata_and_not_the_sessions():
    session = lifecycle.pay(session_id=make_session().stripe_id)
    intent = Event.objects.get(type="payment_intent.succeeded").data["object"]
    charge = Event.objects.get(type="charge.succeeded").data["object"]
    assert session.params["metadata"] == {"ride": "7"}
    assert intent["metadata"] == charge["metadata"] == {"payment": "7"}

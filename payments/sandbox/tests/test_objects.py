import pytest
import stripe
from stripe.checkout import Session as StripeSession

from payments.sandbox import lifecycle
from payments.sandbox.models import Event, Session
from payments.sandbox.objects.event import render_event
from payments.sandbox.objects.session import render_session
from payments.sandbox.parameters import API_VERSION

from .conftest import make_session
from .description import problems

pytestmark = pytest.mark.django_db

CLASSES = {
    "checkout.session": StripeSession,
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "dispute": stripe.Dispute,
}


def paid_later(currency: str) -> Session:
    session = make_session(currency=currency)
    lifecycle.pay_later(session_id=session.stripe_id)
    return lifecycle.settle(session_id=session.stripe_id, succeeded=True)


def everything_happens(session: Session) -> None:
    intent_id = session.payment_intent.stripe_id
    refund = lifecycle.refund(payment_intent_id=intent_id, amount=400, reason="duplicate")
    lifecycle.fail_refund(refund_id=refund.stripe_id)
    dispute = lifecycle.open_dispute(payment_intent_id=intent_id)
    lifecycle.close_dispute(dispute_id=dispute.stripe_id, won=True)


@pytest.mark.parametrize("currency", ["usd", "eur", "gbp", "cad", "aud", "jpy", "nok"])
def test_all_that_a_payment_by_a_delayed_method_emits_is_valid(currency):
    everything_happens(paid_later(currency))
    failing = make_session(currency=currency)
    lifecycle.pay_later(session_id=failing.stripe_id)
    lifecycle.settle(session_id=failing.stripe_id, succeeded=False)
    assert_events_are_valid()


def test_all_that_a_payment_by_card_emits_is_valid():
    session = make_session(customer_email="rider@example.com", locale="de", submit_type="book")
    lifecycle.decline(session_id=session.stripe_id)
    everything_happens(lifecycle.pay(session_id=session.stripe_id))
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
        assert event["data"].get("previous_attributes", {}).keys() <= subject.keys()


def test_a_new_session_is_valid_and_so_are_its_line_items():
    session = make_session()
    rendered = render_session(session)
    assert not problems(rendered, StripeSession, "session")
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

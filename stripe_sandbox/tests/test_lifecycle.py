from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction

from stripe_sandbox.checkout import cards, disputes, fraud, lifecycle, refunds
from stripe_sandbox.errors import NotPossible
from stripe_sandbox.events import behaviour, emit
from stripe_sandbox.models import Charge, Delivery, Dispute, Event, PaymentIntent, Refund, Review, Session
from stripe_sandbox.tests.conftest import event_types, make_session, pay_and_break

pytestmark = pytest.mark.django_db

PAID = ["charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"]
DECLINED = ["charge.failed", "payment_intent.payment_failed"]
DELAYED = [
    "payment_intent.created",
    "charge.pending",
    "payment_intent.processing",
    "checkout.session.completed",
]
REFUNDED = ["refund.created", "charge.refunded", "refund.updated"]


def paid() -> Session:
    """Return a paid session whose events are forgotten."""
    session = lifecycle.pay(session_id=make_session().stripe_id)
    Event.objects.all().delete()
    return session


def newest(type_: str) -> dict:
    """Return the object that the newest event of a type is about."""
    return Event.objects.filter(type=type_).order_by("pk").last().data["object"]


def test_paying_completes_the_session():
    session = lifecycle.pay(session_id=make_session().stripe_id)
    assert (session.status, session.payment_status, session.url) == ("complete", "paid", None)
    assert event_types() == ["payment_intent.created", *PAID]
    assert newest("payment_intent.created")["status"] == "requires_payment_method"
    assert newest("payment_intent.created")["latest_charge"] is None
    assert newest("payment_intent.succeeded")["amount_received"] == 1250
    assert newest("checkout.session.completed")["payment_intent"] == session.payment_intent.stripe_id
    assert {event.request_id for event in Event.objects.all()} == {None}


def test_a_declined_card_leaves_the_session_open_for_another():
    session = make_session()
    for _ in range(2):
        session = lifecycle.decline(session_id=session.stripe_id)
        assert session.status == "open"
        error = newest("payment_intent.payment_failed")["last_payment_error"]
        assert (error["code"], error["decline_code"]) == ("card_declined", "generic_decline")
        assert (
            error["charge"]
            == newest("payment_intent.payment_failed")["latest_charge"]
            == newest("charge.failed")["id"]
        )
    lifecycle.pay(session_id=session.stripe_id)
    assert event_types() == ["payment_intent.created", *DECLINED, *DECLINED, *PAID]
    assert PaymentIntent.objects.count() == 1
    assert Charge.objects.count() == 3
    assert newest("payment_intent.succeeded")["last_payment_error"] is None


@pytest.mark.parametrize(
    ("succeeded", "payment_status", "types"),
    [
        (
            True,
            "paid",
            ["charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded"],
        ),
        (False, "unpaid", [*DECLINED, "checkout.session.async_payment_failed"]),
    ],
)
def test_a_delayed_payment_ends_later(succeeded, payment_status, types):
    session = lifecycle.pay_later(session_id=make_session().stripe_id)
    assert (session.status, session.payment_status) == ("complete", "unpaid")
    processing = newest("payment_intent.processing")
    assert (processing["status"], processing["latest_charge"]) == (
        "processing",
        newest("charge.pending")["id"],
    )
    session = lifecycle.settle(session_id=session.stripe_id, succeeded=succeeded)
    assert (session.status, session.payment_status) == ("complete", payment_status)
    assert event_types() == [*DELAYED, *types]
    assert newest(types[-1])["payment_status"] == payment_status
    with pytest.raises(NotPossible, match="No delayed payment"):
        lifecycle.settle(session_id=session.stripe_id, succeeded=True)


def test_expiring_ends_an_open_session():
    session = lifecycle.expire(session_id=make_session().stripe_id)
    assert (session.status, session.payment_status) == ("expired", "unpaid")
    assert event_types() == ["checkout.session.expired"]
    assert newest("checkout.session.expired")["url"] is None


def test_the_payment_that_an_expired_session_leaves_unfinished_is_canceled():
    session = lifecycle.decline(session_id=make_session().stripe_id)
    Event.objects.all().delete()
    lifecycle.expire(session_id=session.stripe_id)
    assert event_types() == ["payment_intent.canceled", "checkout.session.expired"]
    canceled = newest("payment_intent.canceled")
    assert (canceled["status"], canceled["cancellation_reason"]) == ("canceled", "automatic")
    assert canceled["canceled_at"] is not None
    assert canceled["last_payment_error"]["code"] == "card_declined"


@pytest.mark.parametrize("name", cards.CARDS)
def test_a_charge_says_what_it_was_paid_with(name):
    card = cards.CARDS[name]
    lifecycle.pay(session_id=make_session().stripe_id, card=card)
    charge = newest("charge.succeeded")
    shown = charge["payment_method_details"]["card"]
    assert (shown["brand"], shown["last4"], shown["funding"]) == (card.brand, card.last4, card.funding)
    assert (shown["wallet"] or {}).get("type") == card.wallet
    assert charge["outcome"]["risk_level"] == card.risk_level
    assert charge["balance_transaction"].startswith("txn_")


@pytest.mark.parametrize("name", cards.DECLINES)
def test_a_decline_says_why_and_what_to_do(name):
    why = cards.DECLINES[name]
    lifecycle.decline(session_id=make_session().stripe_id, why=why)
    error = newest("payment_intent.payment_failed")["last_payment_error"]
    charge = newest("charge.failed")
    assert (error["code"], error["decline_code"], error["message"]) == (why.code, name, why.message)
    assert error.get("advice_code") == charge["outcome"]["advice_code"] == why.advice_code
    assert charge["failure_code"] == why.code
    assert charge["outcome"]["type"] == ("blocked" if why.blocked else "issuer_declined")
    assert charge["payment_method_details"]["card"]["last4"] == why.last4
    assert charge["receipt_url"] is None


@pytest.mark.parametrize("step", [lifecycle.pay, lifecycle.decline, lifecycle.pay_later, lifecycle.expire])
@pytest.mark.parametrize("end", [lifecycle.pay, lifecycle.pay_later, lifecycle.expire])
def test_a_session_that_ended_takes_no_step(step, end):
    session = end(session_id=make_session().stripe_id)
    Event.objects.all().delete()
    with pytest.raises(NotPossible, match=f"not open any more: it is {session.status}"):
        step(session_id=session.stripe_id)
    assert event_types() == []


@pytest.mark.parametrize("step", [lifecycle.pay, lifecycle.get_session, lifecycle.expire])
def test_an_unknown_session_is_said_to_be_unknown(step):
    with pytest.raises(Session.DoesNotExist):
        step(session_id="cs_test_none")
    with pytest.raises(Session.DoesNotExist):
        lifecycle.get_session(session_id="cs_test_\x00")


def test_a_session_that_costs_nothing_completes_without_a_payment():
    session = make_session(amount=0)
    for step in (lifecycle.decline, lifecycle.pay_later):
        with pytest.raises(NotPossible, match="costs nothing"):
            step(session_id=session.stripe_id)
    session = lifecycle.pay(session_id=session.stripe_id)
    assert (session.payment_status, session.payment_intent) == ("no_payment_required", None)
    assert event_types() == ["checkout.session.completed"]


def test_a_session_is_expired_when_its_time_is_up_and_not_before():
    session = make_session()
    assert lifecycle.expire_overdue(now=session.expires_at - timedelta(microseconds=1)) == 0
    assert lifecycle.expire_overdue(now=session.expires_at) == 1
    assert lifecycle.expire_overdue(now=session.expires_at) == 0
    assert event_types() == ["checkout.session.expired"]


def test_whoever_opens_an_overdue_session_finds_it_expired():
    session = make_session()
    Session.objects.update(expires_at=session.created_at)
    with pytest.raises(NotPossible, match="it is expired"):
        lifecycle.pay(session_id=session.stripe_id)
    assert lifecycle.get_session(session_id=session.stripe_id).status == "expired"
    assert event_types() == ["checkout.session.expired"]


def test_refunds_in_parts_add_up():
    intent_id = paid().payment_intent.stripe_id
    refunds.refund(payment_intent_id=intent_id, amount=1000)
    charge = newest("charge.refunded")
    assert (charge["amount_refunded"], charge["refunded"]) == (1000, False)
    with pytest.raises(NotPossible, match="greater than unrefunded amount"):
        refunds.refund(payment_intent_id=intent_id, amount=251)
    with pytest.raises(NotPossible, match="1 or more"):
        refunds.refund(payment_intent_id=intent_id, amount=0)
    assert refunds.refund(payment_intent_id=intent_id).amount == 250
    charge = newest("charge.refunded")
    assert (charge["amount_refunded"], charge["refunded"]) == (1250, True)
    assert event_types() == [*REFUNDED, *REFUNDED]
    with pytest.raises(NotPossible, match="already been refunded"):
        refunds.refund(payment_intent_id=intent_id)


def test_a_refund_of_a_card_gets_its_reference_later():
    refunds.refund(payment_intent_id=paid().payment_intent.stripe_id)
    assert newest("refund.created")["destination_details"]["card"]["reference_status"] == "pending"
    updated = Event.objects.get(type="refund.updated").data
    assert updated["object"]["destination_details"]["card"]["reference_status"] == "available"
    assert updated["previous_attributes"].keys() == {"destination_details"}


def refund_of_a_debit() -> Refund:
    session = lifecycle.pay_later(session_id=make_session().stripe_id)
    lifecycle.settle(session_id=session.stripe_id, succeeded=True)
    Event.objects.all().delete()
    return refunds.refund(payment_intent_id=session.payment_intent.stripe_id)


def test_a_refund_of_a_debit_is_pending_until_it_is_settled():
    refund = refund_of_a_debit()
    assert newest("refund.created")["status"] == "pending"
    assert event_types() == ["refund.created", "charge.refunded"]
    refunds.settle_refund(refund_id=refund.stripe_id)
    updated = Event.objects.get(type="refund.updated").data
    assert updated["object"]["status"] == "succeeded"
    assert updated["previous_attributes"] == {"status": "pending"}
    with pytest.raises(NotPossible, match="not pending: it is succeeded"):
        refunds.settle_refund(refund_id=refund.stripe_id)


def test_a_pending_refund_is_settled_by_time_or_fails():
    refund, failing = refund_of_a_debit(), refund_of_a_debit()
    assert refunds.fail_refund(refund_id=failing.stripe_id).charge.amount_refunded == 0
    assert refunds.settle_due(now=refund.created_at + timedelta(seconds=59)) == 0
    assert refunds.settle_due(now=refund.created_at + timedelta(seconds=60)) == 1
    assert refunds.settle_due(now=refund.created_at + timedelta(seconds=61)) == 0
    assert [newest("refund.updated")["id"], newest("refund.failed")["id"]] == [
        refund.stripe_id,
        failing.stripe_id,
    ]


def test_a_refund_that_fails_no_longer_counts():
    session = paid()
    intent_id = session.payment_intent.stripe_id
    refund = refunds.refund(payment_intent_id=intent_id)
    refund = refunds.fail_refund(refund_id=refund.stripe_id)
    assert refund.status == "failed"
    assert refund.charge.amount_refunded == 0
    assert event_types() == [*REFUNDED, "refund.failed", "refund.updated"]
    assert newest("refund.failed")["failure_reason"] == "expired_or_canceled_card"
    with pytest.raises(NotPossible, match="failed already"):
        refunds.fail_refund(refund_id=refund.stripe_id)
    assert refunds.refund(payment_intent_id=intent_id).amount == 1250


def test_what_was_not_paid_is_neither_refunded_nor_disputed():
    intent_id = lifecycle.decline(session_id=make_session().stripe_id).payment_intent.stripe_id
    for step in (refunds.refund, disputes.open_dispute):
        with pytest.raises(NotPossible):
            step(payment_intent_id=intent_id)
        with pytest.raises(PaymentIntent.DoesNotExist):
            step(payment_intent_id="pi_none")
    with pytest.raises(Refund.DoesNotExist):
        refunds.fail_refund(refund_id="re_none")
    with pytest.raises(Dispute.DoesNotExist):
        disputes.close_dispute(dispute_id="du_none", won=True)


@pytest.mark.parametrize(
    ("won", "status", "types"),
    [
        (True, "won", ["charge.dispute.closed", "charge.dispute.funds_reinstated"]),
        (False, "lost", ["charge.dispute.closed"]),
    ],
)
def test_a_dispute_is_opened_and_decided(won, status, types):
    intent_id = paid().payment_intent.stripe_id
    refunds.refund(payment_intent_id=intent_id, amount=250)
    Event.objects.all().delete()
    dispute = disputes.open_dispute(payment_intent_id=intent_id)
    assert newest("charge.dispute.created")["status"] == "needs_response"
    assert newest("charge.dispute.created") == newest("charge.dispute.funds_withdrawn")
    assert [moved["net"] for moved in newest("charge.dispute.funds_withdrawn")["balance_transactions"]] == [
        -2500
    ]
    with pytest.raises(NotPossible, match="disputed already"):
        disputes.open_dispute(payment_intent_id=intent_id)
    with pytest.raises(NotPossible, match="charged back"):
        refunds.refund(payment_intent_id=intent_id)
    assert disputes.close_dispute(dispute_id=dispute.stripe_id, won=won).status == status
    assert event_types() == ["charge.dispute.created", "charge.dispute.funds_withdrawn", *types]
    closed = Event.objects.get(type="charge.dispute.closed").data
    assert (closed["object"]["status"], closed["previous_attributes"]) == (
        status,
        {"status": "needs_response"},
    )
    assert sum(moved["net"] for moved in newest(types[-1])["balance_transactions"]) == (0 if won else -2500)
    with pytest.raises(NotPossible, match="already closed"):
        disputes.close_dispute(dispute_id=dispute.stripe_id, won=True)


def test_what_a_partial_dispute_leaves_is_refunded_or_disputed():
    intent_id = paid().payment_intent.stripe_id
    first = disputes.open_dispute(payment_intent_id=intent_id, amount=500, reason="product_not_received")
    created = newest("charge.dispute.created")
    assert (created["amount"], created["reason"]) == (500, "product_not_received")
    assert created["evidence_details"]["due_by"] == created["created"] + 9 * 24 * 3600
    with pytest.raises(NotPossible, match="1 to 750"):
        disputes.open_dispute(payment_intent_id=intent_id, amount=751)
    with pytest.raises(NotPossible, match="greater than unrefunded amount"):
        refunds.refund(payment_intent_id=intent_id, amount=751)
    assert refunds.refund(payment_intent_id=intent_id, amount=250).amount == 250
    assert disputes.open_dispute(payment_intent_id=intent_id).amount == 500
    with pytest.raises(NotPossible, match="charged back"):
        refunds.refund(payment_intent_id=intent_id)
    disputes.close_dispute(dispute_id=first.stripe_id, won=True)
    assert refunds.refund(payment_intent_id=intent_id).amount == 500


def test_an_inquiry_moves_no_money_until_it_becomes_a_dispute():
    intent_id = paid().payment_intent.stripe_id
    inquiry = Dispute.CaseType.INQUIRY
    first, second = (
        disputes.open_dispute(payment_intent_id=intent_id, amount=500, case_type=inquiry) for _ in range(2)
    )
    assert newest("charge.dispute.created")["status"] == "warning_needs_response"
    assert newest("charge.dispute.created")["is_charge_refundable"]
    assert disputes.close_dispute(dispute_id=first.stripe_id, won=True).status == "warning_closed"
    disputes.escalate(dispute_id=second.stripe_id)
    assert event_types()[2:] == [
        "charge.dispute.closed",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
    ]
    assert newest("charge.dispute.updated")["status"] == "needs_response"
    assert refunds.refund(payment_intent_id=intent_id).amount == 750
    with pytest.raises(NotPossible, match="Only an open inquiry"):
        disputes.escalate(dispute_id=first.stripe_id)


@pytest.mark.parametrize(
    ("case_type", "left", "types"),
    [
        (Dispute.CaseType.RESOLUTION, 750, ["charge.dispute.created", "charge.dispute.funds_withdrawn"]),
        (Dispute.CaseType.BLOCK, 1250, ["charge.dispute.created"]),
    ],
)
def test_a_prevented_dispute_is_over_at_once(case_type, left, types):
    intent_id = paid().payment_intent.stripe_id
    dispute = disputes.open_dispute(payment_intent_id=intent_id, amount=500, case_type=case_type)
    created = newest("charge.dispute.created")
    assert (created["status"], created["evidence_details"]["due_by"]) == ("prevented", None)
    assert created["payment_method_details"]["card"]["case_type"] == case_type
    assert sum(each["net"] for each in created["balance_transactions"]) == left - 1250
    assert event_types() == types
    with pytest.raises(NotPossible, match="already closed"):
        disputes.close_dispute(dispute_id=dispute.stripe_id, won=False)
    assert refunds.refund(payment_intent_id=intent_id).amount == left


def test_an_early_fraud_warning_can_be_acted_upon_until_the_money_is_gone():
    intent_id = paid().payment_intent.stripe_id
    warning = fraud.warn(payment_intent_id=intent_id, fraud_type="made_with_stolen_card")
    created = newest("radar.early_fraud_warning.created")
    assert (created["id"], created["actionable"]) == (warning.stripe_id, True)
    assert created["fraud_type"] == "made_with_stolen_card"
    with pytest.raises(NotPossible, match="warning already"):
        fraud.warn(payment_intent_id=intent_id, fraud_type="misc")
    refunds.refund(payment_intent_id=intent_id, amount=1)
    assert "radar.early_fraud_warning.updated" not in event_types()
    refunds.refund(payment_intent_id=intent_id)
    updated = Event.objects.get(type="radar.early_fraud_warning.updated").data
    assert updated["object"]["actionable"] is False
    assert updated["previous_attributes"] == {"actionable": True}


def test_a_review_is_opened_by_a_rule_and_closed_by_people():
    intent_id = paid().payment_intent.stripe_id
    review = fraud.open_review(payment_intent_id=intent_id)
    assert (newest("review.opened")["open"], newest("review.opened")["reason"]) == (True, "rule")
    with pytest.raises(NotPossible, match="in review already"):
        fraud.open_review(payment_intent_id=intent_id)
    fraud.close_review(review_id=review.stripe_id, reason=Review.Closed.APPROVED)
    closed = newest("review.closed")
    assert (closed["open"], closed["reason"], closed["closed_reason"]) == (False, "approved", "approved")
    with pytest.raises(NotPossible, match="already closed: approved"):
        fraud.close_review(review_id=review.stripe_id, reason=Review.Closed.APPROVED)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (disputes.open_dispute, "disputed"),
        (refunds.refund, "refunded"),
        (partial(refunds.refund, reason="fraudulent"), "refunded_as_fraud"),
    ],
)
def test_a_review_is_over_when_the_money_is_gone(step, reason):
    intent_id = paid().payment_intent.stripe_id
    review = fraud.open_review(payment_intent_id=intent_id)
    step(payment_intent_id=intent_id)
    assert (newest("review.closed")["id"], newest("review.closed")["reason"]) == (review.stripe_id, reason)


def test_nothing_is_suspected_of_a_payment_that_was_not_made():
    intent_id = lifecycle.decline(session_id=make_session().stripe_id).payment_intent.stripe_id
    for step in (fraud.open_review, partial(fraud.warn, fraud_type="misc")):
        with pytest.raises(NotPossible, match="Nothing was paid"):
            step(payment_intent_id=intent_id)
    session = lifecycle.pay_later(session_id=make_session().stripe_id)
    lifecycle.settle(session_id=session.stripe_id, succeeded=True)
    with pytest.raises(NotPossible, match="Only issuers of cards"):
        fraud.warn(payment_intent_id=session.payment_intent.stripe_id, fraud_type="misc")


def test_after_a_dispute_is_won_the_rest_can_be_refunded():
    intent_id = paid().payment_intent.stripe_id
    dispute = disputes.open_dispute(payment_intent_id=intent_id)
    disputes.close_dispute(dispute_id=dispute.stripe_id, won=True)
    assert refunds.refund(payment_intent_id=intent_id).amount == 1250


def test_nothing_is_left_to_dispute_of_a_refunded_payment():
    intent_id = paid().payment_intent.stripe_id
    refunds.refund(payment_intent_id=intent_id)
    with pytest.raises(NotPossible, match="Nothing is left"):
        disputes.open_dispute(payment_intent_id=intent_id)


def test_a_change_is_kept_with_its_events_or_not_at_all():
    session = make_session()
    with pytest.raises(RuntimeError):
        pay_and_break(session)
    session.refresh_from_db()
    assert session.status == "open"
    assert not Event.objects.exists()
    assert not Delivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_events_are_emitted_inside_a_transaction_only():
    happened = [emit.Happening("charge.succeeded", {"id": "ch_1", "object": "charge"})]
    with pytest.raises(transaction.TransactionManagementError):
        emit.emit(make_session(), happened)


def planned() -> list[tuple[str, str]]:
    """Return the types and states of all deliveries, in the order they are sent in."""
    rows = Delivery.objects.order_by("due_at", "pk").values_list("event__type", "state")
    return [(type_, str(state)) for type_, state in rows]


def test_deliveries_are_planned_as_the_mode_has_it():
    session_id = make_session().stripe_id
    assert behaviour.get_mode() == "normal"
    lifecycle.decline(session_id=session_id)
    assert planned() == [(type_, "pending") for type_ in ["payment_intent.created", *DECLINED]]
    Delivery.objects.all().delete()
    assert behaviour.set_mode(mode="twice") == behaviour.get_mode() == "twice"
    lifecycle.decline(session_id=session_id)
    assert planned() == [(type_, "pending") for type_ in DECLINED for _ in range(2)]
    Delivery.objects.all().delete()
    behaviour.set_mode(mode="out_of_order")
    lifecycle.pay(session_id=session_id)
    assert planned() == [(type_, "pending") for type_ in reversed(PAID)]
    Delivery.objects.all().delete()
    behaviour.set_mode(mode="drop")
    lifecycle.expire(session_id=make_session().stripe_id)
    assert planned() == [("checkout.session.expired", "dropped")]
    with pytest.raises(ValueError, match="sometimes"):
        behaviour.set_mode(mode="sometimes")


def test_late_events_are_due_five_seconds_later():
    behaviour.set_mode(mode="late")
    lifecycle.expire(session_id=make_session().stripe_id)
    delivery = Delivery.objects.get()
    assert delivery.due_at - delivery.event.created_at == timedelta(seconds=5)


def test_an_event_is_sent_again_by_its_id_or_by_a_delivery_and_a_pending_one_can_be_dropped():
    lifecycle.expire(session_id=make_session().stripe_id)
    first = behaviour.drop(delivery_id=Delivery.objects.get().pk)
    assert first.state == "dropped"
    again = behaviour.send_again(delivery_id=first.pk)
    once_more = behaviour.send_again(event_id=first.event.stripe_id)
    assert {each.event_id for each in (again, once_more)} == {first.event_id}
    assert [state for _, state in planned()] == ["dropped", "pending", "pending"]
    Delivery.objects.filter(pk=again.pk).update(state="delivered")
    assert behaviour.drop(delivery_id=again.pk).state == "delivered"
    for unknown in ({"event_id": "evt_none"}, {"delivery_id": 0}):
        with pytest.raises(Event.DoesNotExist):
            behaviour.send_again(**unknown)
    with pytest.raises(Delivery.DoesNotExist):
        behaviour.drop(delivery_id=0)

"""The actions of the control page. Each takes a form and returns a sentence for people."""

from collections.abc import Callable
from typing import Any

from stripe_sandbox.api import faults
from stripe_sandbox.checkout import disputes, fraud, lifecycle, refunds
from stripe_sandbox.events import behaviour
from stripe_sandbox.models import Dispute, Review
from stripe_sandbox.pages.display import format_money

Form = dict[str, str]


class UnfitForm(Exception):
    """The form is not from this page, or the page is out of date."""


def _number(form: Form, name: str) -> int:
    try:
        number = int(form.get(name, ""))
    except ValueError:
        raise UnfitForm from None
    if number < 1:
        raise UnfitForm
    return number


def _one_of(form: Form, name: str, known: Any) -> str:
    if form.get(name) not in known:
        raise UnfitForm
    return form[name]


def _amount(form: Form) -> int | None:
    """Return the form's amount in minor units; None if it is empty."""
    return _number(form, "amount") if form.get("amount") else None


def _chose(form: Form, wanted: str, *, not_: str) -> bool:
    if form.get("outcome") not in {wanted, not_}:
        raise UnfitForm
    return form["outcome"] == wanted


def _expire(form: Form) -> str:
    lifecycle.expire(session_id=form.get("session", ""))
    return "The session has expired."


def _settle(form: Form) -> str:
    succeeded = _chose(form, "succeeded", not_="failed")
    lifecycle.settle(session_id=form.get("session", ""), succeeded=succeeded)
    return "The bank confirmed the payment." if succeeded else "The bank rejected the payment."


def _refund(form: Form) -> str:
    refund = refunds.refund(
        payment_intent_id=form.get("payment_intent", ""),
        amount=_amount(form),
        reason="fraudulent" if form.get("fraudulent") else None,
    )
    money = format_money(refund.amount, refund.charge.payment_intent.currency)
    if refund.status == refund.Status.PENDING:
        return f"{money} is on its way to the bank: settle the refund, or wait a minute."
    return f"{money} went back."


def _settle_refund(form: Form) -> str:
    refunds.settle_refund(refund_id=form.get("refund", ""))
    return "The bank took the refund."


def _fail_refund(form: Form) -> str:
    refunds.fail_refund(refund_id=form.get("refund", ""))
    return "The refund failed: the bank sent it back."


def _open_dispute(form: Form) -> str:
    case_type = Dispute.CaseType(_one_of({"case_type": "chargeback"} | form, "case_type", Dispute.CaseType))
    dispute = disputes.open_dispute(
        payment_intent_id=form.get("payment_intent", ""),
        amount=_amount(form),
        reason=_one_of({"reason": "fraudulent"} | form, "reason", disputes.REASONS),
        case_type=case_type,
    )
    money = format_money(dispute.amount, dispute.charge.payment_intent.currency)
    return f"The customer disputes {money}: {case_type.label}."


def _close_dispute(form: Form) -> str:
    won = _chose(form, "won", not_="lost")
    dispute = disputes.close_dispute(dispute_id=form.get("dispute", ""), won=won)
    return f"The dispute is {dispute.get_status_display().lower()}."


def _escalate(form: Form) -> str:
    disputes.escalate(dispute_id=form.get("dispute", ""))
    return "The inquiry has become a dispute: the money is withdrawn."


def _warn(form: Form) -> str:
    fraud_type = _one_of(form, "fraud_type", fraud.FRAUD_TYPES)
    fraud.warn(payment_intent_id=form.get("payment_intent", ""), fraud_type=fraud_type)
    return "The issuer warns of fraud."


def _open_review(form: Form) -> str:
    fraud.open_review(payment_intent_id=form.get("payment_intent", ""))
    return "The payment is in review."


def _close_review(form: Form) -> str:
    reason = Review.Closed(_one_of(form, "reason", Review.Closed))
    fraud.close_review(review_id=form.get("review", ""), reason=reason)
    return f"The review is closed: {reason.label.lower()}."


def _send_again(form: Form) -> str:
    delivery = behaviour.send_again(delivery_id=_number(form, "delivery"))
    return f"{delivery.event.type} is sent again."


def _drop(form: Form) -> str:
    delivery = behaviour.drop(delivery_id=_number(form, "delivery"))
    return f"{delivery.event.type} is {delivery.state}."


def _set_mode(form: Form) -> str:
    try:
        mode = behaviour.set_mode(mode=form.get("mode", ""))
    except ValueError:
        raise UnfitForm from None
    return f"New events are delivered: {mode.label}."


def _set_fault(form: Form) -> str:
    try:
        planned = faults.plan(
            fault=form.get("fault", "?"), calls=_number(form, "calls"), delay=_number(form, "delay")
        )
    except ValueError:
        raise UnfitForm from None
    if not planned.calls:
        return "All calls are answered as usual."
    which = "next call is" if planned.calls == 1 else f"next {planned.calls} calls are"
    return f"The {which} answered: {planned.fault.label}."


ACTIONS: dict[str, Callable[[Form], str]] = {
    "expire": _expire,
    "settle": _settle,
    "refund": _refund,
    "settle_refund": _settle_refund,
    "fail_refund": _fail_refund,
    "open_dispute": _open_dispute,
    "close_dispute": _close_dispute,
    "escalate": _escalate,
    "warn": _warn,
    "open_review": _open_review,
    "close_review": _close_review,
    "send_again": _send_again,
    "drop": _drop,
    "set_mode": _set_mode,
    "set_fault": _set_fault,
}

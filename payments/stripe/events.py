"""What an event of Stripe's says: which payment it is about, and which facts it adds.

Source of the types and of their objects: https://docs.stripe.com/api/events/types
"""

import uuid
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from payments.facts import Charge, Dispute, Facts, Failure, Movement, Refund, Review, Warning_, merge, money
from payments.stripe.states import (
    BLOCKED,
    DISPUTE_STAGES,
    INTENT_STATES,
    PAYMENT_STATES,
    REFUND_STAGES,
    RESOLVED,
    SESSION_STATES,
)
from payments.webhooks.scrubbing import REMOVED

LARGEST_READ = 10**15
"""Minor units. Stripe's largest amount has twelve digits (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts)."""

Object = Mapping[str, Any]


_IMPOSSIBLE = "impossible"
"""Takes the place of the state of what names an impossible sum: no table has it."""


class UnreadableError(Exception):
    """The event is not as Stripe describes it in the version that this service reads."""


class ImpossibleSumError(Exception):
    """The event names a sum that no payment has."""


_NOT_AS_DESCRIBED = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """How an event names its payment. Refunds and disputes know no more than the payment intent."""

    payment_id: uuid.UUID | None = None
    """From our metadata."""
    session_id: str | None = None
    payment_intent_id: str | None = None
    claimed_id: uuid.UUID | None = None
    """From `client_reference_id`, which the customer may choose where the account has Payment Links.

    Source: https://docs.stripe.com/payment-links/url-parameters
    """
    names_us: bool
    """Whether every event of ours of this kind carries `payment_id`, so that one without it is not ours."""


def is_handled(event_type: str) -> bool:
    """Tell whether events of this type add facts."""
    return event_type in _FACTS


def handled_types() -> list[str]:
    """Return the types of events that add facts."""
    return list(_FACTS)


def reference(event: Object) -> Reference:
    """Return how an event of a handled type names its payment. Raises UnreadableError."""
    try:
        return _reference(event["data"]["object"])
    except _NOT_AS_DESCRIBED as error:
        raise UnreadableError(_describe(error)) from error


def facts(event: Object) -> Facts:
    """Return what an event of a handled type adds to what is known.

    Raises UnreadableError or ImpossibleSumError.
    """
    try:
        return _FACTS[event["type"]](event["data"]["object"], event["created"])
    except _NOT_AS_DESCRIBED as error:
        raise UnreadableError(_describe(error)) from error


def _describe(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no field {error}"
    return str(error)[:200]


def _reference(obj: Object) -> Reference:
    metadata = obj.get("metadata") or {}
    payment_id = _uuid(metadata.get("payment_id"))
    match obj["object"]:
        case "checkout.session":
            return Reference(
                payment_id=payment_id,
                session_id=_id(obj.get("recovered_from")) or _key(obj),
                payment_intent_id=_id(obj.get("payment_intent")),
                claimed_id=_uuid(obj.get("client_reference_id")),
                names_us=True,
            )
        case "payment_intent":
            return Reference(payment_id=payment_id, payment_intent_id=_key(obj), names_us=True)
        case "charge":  # it takes over the metadata of its intent
            intent_id = _id(obj.get("payment_intent"))
            return Reference(payment_id=payment_id, payment_intent_id=intent_id, names_us=bool(metadata))
        case _:
            return Reference(payment_intent_id=_id(obj.get("payment_intent")), names_us=False)


def refund_facts(refund: Object) -> Facts:
    """Return what a refund says that Stripe answered with. Raises UnreadableError."""
    try:
        # What the answer says was so when the refund was made, or later: an event that says more outranks it.
        return _refund(refund, _seconds(refund.get("created")))
    except _NOT_AS_DESCRIBED as error:
        raise UnreadableError(_describe(error)) from error


def session_facts(session: Object, at: int) -> Facts:
    """Return what a Checkout Session says, its payment intent in it: the facts of the events that it has had.

    `at`: when Stripe was asked (seconds since 1970, UTC). The events themselves, should they come, are earlier.
    """
    known = _unknown("session.status", session["status"], SESSION_STATES, at)
    for type_ in _passed(session):
        obj = session if type_.startswith("checkout.session.") else session["payment_intent"]
        try:
            known = merge(known, _FACTS[type_](obj, at))
        except ImpossibleSumError:
            known = merge(known, {"unknown": {f"{type_}.amount": at}})
    if status := (session["payment_intent"] or {}).get("status"):
        known = merge(known, _unknown("payment_intent.status", status, INTENT_STATES, at))
    return known


def _passed(session: Object) -> Iterator[str]:
    """Yield the types of the events that have brought a session where it is.

    A delayed payment that fails leaves its session complete and unpaid, and its intent as after any attempt that
    failed (https://docs.stripe.com/payments/paymentintents/lifecycle).
    """
    intent = session["payment_intent"] or {}
    is_unpaid = session["payment_status"] == "unpaid"
    failed = intent.get("status") == "requires_payment_method" and intent.get("last_payment_error")
    if session["status"] == "expired":
        yield "checkout.session.expired"
    if session["status"] == "complete":
        yield "checkout.session.completed"
        if failed and is_unpaid:
            yield "checkout.session.async_payment_failed"
    if failed:
        yield "payment_intent.payment_failed"
    elif intent.get("status") in {"succeeded", "processing", "canceled", "requires_action"}:
        yield f"payment_intent.{intent['status']}"


def _uuid(text: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _id(value: Any) -> str | None:
    """Return the id of an object that may have been expanded."""
    found = value["id"] if isinstance(value, Mapping) else value
    return _text(found, most=255) if isinstance(found, str) else None


def _key(obj: Object) -> str:
    """Return the object's own id."""
    return _text(obj["id"], most=255)


def _minor_units(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r:.60} is no amount in minor units")
    if value > LARGEST_READ:
        raise ImpossibleSumError(f"It names a sum of {len(str(value))} digits, which no payment has.")
    return value


def _sum(amount: Any, currency: Any) -> str:
    if not isinstance(currency, str) or not (currency.isascii() and currency.isalpha()):
        raise ValueError(f"{currency!r:.60} is no currency")
    return money(_minor_units(amount), currency[:10])


def _text(value: Any, *, most: int = 100) -> str:
    """Return a text as it can be stored: bounded, and without NUL."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is no text")
    return value[:most].replace("\0", "")


def _shown(value: Any, *, most: int = 100) -> str:
    """Return a text that is only shown; what is no text, or was removed before it was stored, says nothing."""
    return _text(value, most=most) if isinstance(value, str) and value != REMOVED else ""


def _at(obj: Any, *path: str) -> Any:
    """Return what stands in an object at a path; None where there is nothing."""
    for name in path:
        obj = obj.get(name) if isinstance(obj, Mapping) else None
    return obj


def _unknown(field: str, value: Any, known: Container[str], at: int) -> Facts:
    """Return the value as one that nobody knows, unless it is known."""
    return {} if value in known else {"unknown": {f"{field}={_shown(value, most=40)}": at}}


def _session_paid(session: Object, at: int) -> Facts:
    sum_ = _sum(session["amount_total"], session["currency"])
    return {"paid": {_id(session.get("payment_intent")) or "": {sum_: at}}}


def _session_completed(session: Object, at: int) -> Facts:
    """`unpaid` here means a delayed method (https://docs.stripe.com/checkout/fulfillment)."""
    status = session["payment_status"]
    if status == "paid":
        return _session_paid(session, at)
    if status == "no_payment_required":
        return {"nothing_due": at}
    unknown = _unknown("session.payment_status", status, PAYMENT_STATES, at)
    if session.get("recovered_from"):
        return merge({"recovered": {_key(session): {"completed_unpaid": at}}}, unknown)
    return merge({"completed_unpaid": {_id(session.get("payment_intent")) or "": at}}, unknown)


def _of_session(fact: Literal["async_failed", "expired"]) -> "Reader":
    """A session that Stripe made from an expired one speaks for itself alone.

    Source: https://docs.stripe.com/payments/checkout/abandoned-carts
    """

    def read(session: Object, at: int) -> Facts:
        known: Facts = {}
        if session.get("recovered_from"):
            known["recovered"] = {_key(session): {fact: at}}
        else:
            known[fact] = at
        return known

    return read


def _intent_succeeded(intent: Object, at: int) -> Facts:
    return {"paid": {_key(intent): {_sum(intent["amount_received"], intent["currency"]): at}}}


def _intent_canceled(intent: Object, at: int) -> Facts:
    """Somebody canceled it, or Stripe did because its session's time was up.

    Source: https://docs.stripe.com/api/payment_intents/object#payment_intent_object-cancellation_reason.
    """
    if intent.get("cancellation_reason") in {"automatic", "expired"}:
        return {"expired_intents": {_key(intent): at}}
    return {"canceled_intents": {_key(intent): at}}


def _charge_id(intent: Object) -> str:
    """Return the charge of an intent's latest attempt; before the version 2022-11-15 it stands first in a list."""
    listed = _at(intent, "charges", "data")
    return (
        _id(intent.get("latest_charge"))
        or (_id(listed[0]) if isinstance(listed, list) and listed else "")
        or ""
    )


def _intent_failed(intent: Object, at: int) -> Facts:
    known: Facts = {"failed": {_charge_id(intent): at}, "attempted": {_key(intent): at}}
    if isinstance(error := intent.get("last_payment_error"), Mapping):
        known["failure"] = Failure(
            at=at,
            code=_shown(error.get("code")),
            decline_code=_shown(error.get("decline_code")),
            advice_code=_shown(error.get("advice_code")),
            message=_shown(error.get("message"), most=500),
        )
    return known


def _charge(charge: Object, at: int) -> Facts:
    """What a charge that was paid says of the means of payment."""
    if charge.get("status") != "succeeded" or not (details := _at(charge, "payment_method_details")):
        return {}
    kind = _shown(_at(details, "type"))
    made = Charge(
        at=at,
        intent=_id(charge.get("payment_intent")) or "",
        kind=kind,
        brand=_shown(_at(details, kind, "brand")),
        last4=_shown(_at(details, kind, "last4"), most=4),
        wallet=_shown(_at(details, kind, "wallet", "type")),
        risk_level=_shown(_at(charge, "outcome", "risk_level")),
        receipt_url=_shown(charge.get("receipt_url"), most=2048),
    )
    return {"charges": {_key(charge): made}}


def _charge_refunded(charge: Object, at: int) -> Facts:
    least = {_id(charge.get("payment_intent")) or "": _minor_units(charge["amount_refunded"])}
    return merge({"refunded_at_least": least}, _charge(charge, at))


def _refund(refund: Object, at: int) -> Facts:
    # A refund of an old version, or of a method that takes no time, has no status: it is made.
    status = refund["status"] or "succeeded"
    unknown = _unknown("refund.status", status, REFUND_STAGES, at)
    amount, impossible = _amount(refund, "refund", at)
    made = Refund(
        at=at,
        amount=amount,
        status=_IMPOSSIBLE if impossible else _text(status),
        intent=_id(refund.get("payment_intent")) or "",
    )
    return merge(merge({"refunds": {_key(refund): made}}, unknown), impossible)


def _amount(obj: Object, name: str, at: int) -> tuple[int, Facts]:
    """Return an amount that may be impossible: then all there is may be meant, and the value is one nobody knows."""
    try:
        return _minor_units(obj["amount"]), {}
    except ImpossibleSumError:
        return LARGEST_READ, {"unknown": {f"{name}.amount": at}}


def _dispute(dispute: Object, at: int) -> Facts:
    amount, impossible = _amount(dispute, "dispute", at)
    try:
        movements = _movements(dispute)
    except ImpossibleSumError:
        movements, impossible = {}, {"unknown": {"dispute.balance_transactions.amount": at}}
    snapshot = Dispute(
        at=at,
        intent=_id(dispute.get("payment_intent")) or "",
        amount=amount,
        currency=_shown(dispute.get("currency")).lower(),
        status=_IMPOSSIBLE if impossible else _text(dispute["status"]),
        reason=_shown(dispute.get("reason")),
        due_by=_seconds(_at(dispute, "evidence_details", "due_by")),
        case_type=_shown(_at(dispute, "payment_method_details", "card", "case_type")),
        moved=len(movements),
        movements=movements,
    )
    unknown = _unknown("dispute.status", dispute["status"], DISPUTE_STAGES, at)
    if dispute["status"] == "prevented":
        unknown = _unknown("dispute.case_type", snapshot["case_type"], {BLOCKED, RESOLVED}, at)
    return merge(merge({"disputes": {_key(dispute): snapshot}}, unknown), impossible)


def _movements(dispute: Object) -> dict[str, Movement]:
    """Return the balance transactions of a dispute (https://docs.stripe.com/api/balance_transactions/object)."""
    listed = dispute.get("balance_transactions")
    return {
        _key(transaction): Movement(
            amount=_bounded(transaction["amount"]),
            fee=_bounded(transaction.get("fee") or 0),
            currency=_text(transaction["currency"]).lower(),
            at=_seconds(transaction.get("created")),
        )
        for transaction in (listed if isinstance(listed, list) else [])
        if isinstance(transaction, Mapping)
    }


def _bounded(value: Any) -> int:
    """Return an amount that may be negative."""
    return -_minor_units(-value) if isinstance(value, int) and value < 0 else _minor_units(value)


def _seconds(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 else 0


def _warning(warning: Object, at: int) -> Facts:
    known = Warning_(
        at=at, fraud_type=_shown(warning.get("fraud_type")), actionable=warning.get("actionable") is True
    )
    return {"warnings": {_key(warning): known}}


def _review(review: Object, at: int) -> Facts:
    reason = _shown(review.get("closed_reason")) or _shown(review.get("reason"))
    return {"reviews": {_key(review): Review(at=at, open=review.get("open") is True, reason=reason)}}


Reader = Callable[[Object, int], Facts]
"""Reads an event's object and its time (seconds since 1970, UTC)."""

_FACTS: Mapping[str, Reader] = {
    "checkout.session.completed": _session_completed,
    "checkout.session.async_payment_succeeded": _session_paid,
    "checkout.session.async_payment_failed": _of_session("async_failed"),
    "checkout.session.expired": _of_session("expired"),
    "payment_intent.succeeded": _intent_succeeded,
    "payment_intent.processing": lambda intent, at: {
        "processing": {_charge_id(intent): at},
        "attempted": {_key(intent): at},
    },
    "payment_intent.requires_action": lambda intent, at: {
        "action_required": at,
        "attempted": {_key(intent): at},
    },
    "payment_intent.payment_failed": _intent_failed,
    "payment_intent.canceled": _intent_canceled,
    **dict.fromkeys(("charge.succeeded", "charge.updated"), _charge),
    "charge.refunded": _charge_refunded,
    **dict.fromkeys(("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"), _refund),
    **dict.fromkeys(
        (
            "charge.dispute.created",
            "charge.dispute.updated",
            "charge.dispute.closed",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.funds_reinstated",
        ),
        _dispute,
    ),
    **dict.fromkeys(("radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"), _warning),
    **dict.fromkeys(("review.opened", "review.closed"), _review),
}

"""What an event of Stripe's says: which payment it is about, and which facts it adds.

Source of the types and of their objects: https://docs.stripe.com/api/events/types
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from payments.facts import Facts, Refund, merge, money

Object = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """How an event names its payment. Refunds and disputes know no more than the payment intent."""

    payment_id: uuid.UUID | None = None
    session_id: str | None = None
    payment_intent_id: str | None = None
    names_us: bool
    """Whether every event of ours of this kind carries `payment_id`, so that one without it is not ours."""


def is_handled(event_type: str) -> bool:
    """Tell whether events of this type add facts."""
    return event_type in _FACTS


def handled_types() -> list[str]:
    """Return the types of events that add facts."""
    return list(_FACTS)


def reference(event: Object) -> Reference:
    """Return how an event of a handled type names its payment."""
    obj = event["data"]["object"]
    payment_id = _uuid((obj.get("metadata") or {}).get("payment_id"))
    if obj["object"] == "checkout.session":
        return Reference(
            payment_id=payment_id or _uuid(obj.get("client_reference_id")),
            session_id=obj["id"],
            payment_intent_id=_id(obj.get("payment_intent")),
            names_us=True,
        )
    if obj["object"] == "payment_intent":
        return Reference(payment_id=payment_id, payment_intent_id=obj["id"], names_us=True)
    return Reference(payment_intent_id=_id(obj.get("payment_intent")), names_us=False)


def facts(event: Object) -> Facts:
    """Return what an event of a handled type adds to what is known."""
    return _FACTS[event["type"]](event["data"]["object"], event["created"])


def refund_facts(refund: Object) -> Facts:
    """Return what a refund says, be it from an event or from Stripe's answer."""
    state = _text(refund["status"] or "pending")
    return {"refunds": {refund["id"]: Refund(amount=_minor_units(refund["amount"]), status=state)}}


def session_facts(session: Object, at: int) -> Facts:
    """Return what a Checkout Session says, its payment intent in it: the facts of the events that it has had.

    `at`: when Stripe was asked (seconds since 1970, UTC). The events themselves, should they come, are earlier.
    """
    known: Facts = {}
    for type_ in _passed(session):
        obj = session if type_.startswith("checkout.session.") else session["payment_intent"]
        known = merge(known, _FACTS[type_](obj, at))
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
    elif intent.get("status") in {"succeeded", "processing", "canceled"}:
        yield f"payment_intent.{intent['status']}"


def _uuid(text: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _id(value: Any) -> str | None:
    """Return the id of an object that may have been expanded."""
    found = value["id"] if isinstance(value, Mapping) else value
    return found if isinstance(found, str) else None


def _minor_units(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no amount in minor units.")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text.")
    return value


def _session_paid(session: Object, at: int) -> Facts:
    return {"paid": {money(_minor_units(session["amount_total"]), session["currency"]): at}}


def _session_completed(session: Object, at: int) -> Facts:
    """`unpaid` here means a delayed method (https://docs.stripe.com/checkout/fulfillment)."""
    if session["payment_status"] == "unpaid":
        return {"completed_unpaid": at}
    return _session_paid(session, at)


def _intent_succeeded(intent: Object, at: int) -> Facts:
    return {"paid": {money(_minor_units(intent["amount_received"]), intent["currency"]): at}}


def _intent_canceled(intent: Object, at: int) -> Facts:
    """Somebody canceled it, or Stripe did because its session's time was up.

    Source: https://docs.stripe.com/api/payment_intents/object#payment_intent_object-cancellation_reason.
    """
    if intent.get("cancellation_reason") in {"automatic", "expired"}:
        return {"expired": at}
    return {"canceled": at}


def _attempt(state: str) -> Callable[[Object, int], Facts]:
    """Each try to pay is a charge of its own; an intent names the latest."""
    return lambda intent, _: {"attempts": {_id(intent.get("latest_charge")) or "": state}}


_FACTS: Mapping[str, Callable[[Object, int], Facts]] = {
    "checkout.session.completed": _session_completed,
    "checkout.session.async_payment_succeeded": _session_paid,
    "checkout.session.async_payment_failed": lambda _, at: {"async_failed": at},
    "checkout.session.expired": lambda _, at: {"expired": at},
    "payment_intent.succeeded": _intent_succeeded,
    "payment_intent.processing": _attempt("processing"),
    "payment_intent.payment_failed": _attempt("failed"),
    "payment_intent.canceled": _intent_canceled,
    "charge.refunded": lambda charge, _: {"refunded_at_least": _minor_units(charge["amount_refunded"])},
    **dict.fromkeys(
        ("refund.created", "refund.updated", "refund.failed"), lambda refund, _: refund_facts(refund)
    ),
    **dict.fromkeys(
        (
            "charge.dispute.created",
            "charge.dispute.updated",
            "charge.dispute.closed",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.funds_reinstated",
        ),
        lambda dispute, _: {"disputes": {dispute["id"]: _text(dispute["status"])}},
    ),
}

"""Read an event (https://docs.stripe.com/api/events/types): which payment it is about, and which facts it adds."""

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from payments.facts import Facts
from payments.merging import merge
from payments.stripe import charges, disputes, sessions, values
from payments.stripe.states import INTENT_STATES, SESSION_STATES
from payments.stripe.values import Object

Reader = Callable[[Object, int], Facts]
"""Reads an event's object and its time (seconds since 1970, UTC)."""

_FACTS: Mapping[str, Reader] = {
    "checkout.session.completed": sessions.completed,
    "checkout.session.async_payment_succeeded": sessions.paid,
    "checkout.session.async_payment_failed": sessions.ended("async_failed"),
    "checkout.session.expired": sessions.ended("expired"),
    "payment_intent.succeeded": sessions.intent_succeeded,
    "payment_intent.processing": sessions.intent_processing,
    "payment_intent.requires_action": sessions.intent_waits,
    "payment_intent.payment_failed": sessions.intent_failed,
    "payment_intent.canceled": sessions.intent_canceled,
    **dict.fromkeys(("charge.succeeded", "charge.updated"), charges.paid),
    "charge.refunded": charges.refunded,
    **dict.fromkeys(
        ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"), charges.refund
    ),
    **dict.fromkeys(
        (
            "charge.dispute.created",
            "charge.dispute.updated",
            "charge.dispute.closed",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.funds_reinstated",
        ),
        disputes.dispute,
    ),
    **dict.fromkeys(
        ("radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"), disputes.warning
    ),
    **dict.fromkeys(("review.opened", "review.closed"), disputes.review),
}
"""What each type of event that is handled says."""


class UnreadableError(Exception):
    """The event is not as Stripe describes it in the version that this service reads."""


@contextlib.contextmanager
def _as_described() -> Iterator[None]:
    """Raise UnreadableError where an object is not as Stripe describes it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"it has no field {error}" if isinstance(error, KeyError) else str(error)[:200]
        raise UnreadableError(reason) from error


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
    """Return whether events of this type add facts."""
    return event_type in _FACTS


def handled_types() -> list[str]:
    """Return the types of events that add facts."""
    return list(_FACTS)


@_as_described()
def facts(event: Object) -> Facts:
    """Return what an event of a handled type adds. Raises UnreadableError or values.ImpossibleSumError."""
    return _FACTS[event["type"]](event["data"]["object"], event["created"])


@_as_described()
def reference(event: Object) -> Reference:
    """Return how an event of a handled type names its payment. Raises UnreadableError."""
    obj = event["data"]["object"]
    metadata = obj.get("metadata") or {}
    payment_id = values.uuid_of(metadata.get("payment_id"))
    match obj["object"]:
        case "checkout.session":
            return Reference(
                payment_id=payment_id,
                # Stripe makes such a session from an expired one, which is the one that we know.
                session_id=values.id_of(obj.get("recovered_from")) or values.own_id(obj),
                payment_intent_id=values.id_of(obj.get("payment_intent")),
                claimed_id=values.uuid_of(obj.get("client_reference_id")),
                names_us=True,
            )
        case "payment_intent":
            return Reference(payment_id=payment_id, payment_intent_id=values.own_id(obj), names_us=True)
        case "charge":  # it takes over the metadata of its intent
            intent_id = values.id_of(obj.get("payment_intent"))
            return Reference(payment_id=payment_id, payment_intent_id=intent_id, names_us=bool(metadata))
        case _:
            return Reference(payment_intent_id=values.id_of(obj.get("payment_intent")), names_us=False)


@_as_described()
def refund_facts(refund: Object) -> Facts:
    """Return what a refund says that Stripe answered with. Raises UnreadableError."""
    # What the answer says was so when the refund was made, or later: an event that says more outranks it.
    return charges.refund(refund, values.seconds(refund.get("created")))


def session_facts(session: Object, at: int) -> Facts:
    """Return what a Checkout Session says, its payment intent in it: the facts of the events that it has had.

    `at`: when Stripe was asked (seconds since 1970, UTC). The events themselves, should they come, are earlier.
    """
    known = values.unknown("session.status", session["status"], SESSION_STATES, at)
    for type_ in _passed(session):
        obj = session if type_.startswith("checkout.session.") else session["payment_intent"]
        try:
            known = merge(known, _FACTS[type_](obj, at))
        except values.ImpossibleSumError:
            known = merge(known, {"unknown": {f"{type_}.amount": at}})
    if status := (session["payment_intent"] or {}).get("status"):
        known = merge(known, values.unknown("payment_intent.status", status, INTENT_STATES, at))
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

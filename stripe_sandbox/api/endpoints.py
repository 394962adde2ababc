"""The operations of Stripe's API that the sandbox has."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from stripe_sandbox.api import parameters
from stripe_sandbox.api.listing import PAGING, page_of_items
from stripe_sandbox.api.resources import (
    CHARGES,
    DISPUTES,
    EARLY_FRAUD_WARNINGS,
    EVENTS,
    PAYMENT_INTENTS,
    REFUNDS,
    REVIEWS,
    SESSIONS,
    Rendered,
    Resource,
)
from stripe_sandbox.api.views import Call, Operation, operation
from stripe_sandbox.checkout import creation, disputes, fraud, lifecycle, refunds
from stripe_sandbox.errors import ApiError, NotPossible
from stripe_sandbox.models import Delivery, Event, Review
from stripe_sandbox.objects.dispute import render_dispute
from stripe_sandbox.objects.fraud import render_review
from stripe_sandbox.objects.refund import render_refund
from stripe_sandbox.objects.session import render_session
from stripe_sandbox.validation import Tree, check_integer, check_metadata

MAX_TYPES = 20
EXPAND: Tree = {"expand": None}


def _retrieve(description: type, resource: Resource[Any]) -> Operation:
    return Operation(description=description, supported=EXPAND, run=resource.retrieve)


def _list(description: type, resource: Resource[Any], **filters: str) -> Operation:
    """Return the operation that lists objects. `filters` names the field that each parameter selects by."""
    supported: Tree = {**PAGING, "created": None, **dict.fromkeys(filters)}
    return Operation(
        description=description, supported=supported, run=lambda call: resource.list(call, **filters)
    )


_BY_CHARGE = {"charge": "charge__stripe_id", "payment_intent": "charge__payment_intent__stripe_id"}
_BY_INTENT = {"payment_intent": "payment_intent__stripe_id"}

retrieve_session = _retrieve(parameters.SESSION_RETRIEVE, SESSIONS)
retrieve_payment_intent = _retrieve(parameters.PAYMENT_INTENT_RETRIEVE, PAYMENT_INTENTS)
retrieve_charge = _retrieve(parameters.CHARGE_RETRIEVE, CHARGES)
retrieve_refund = _retrieve(parameters.REFUND_RETRIEVE, REFUNDS)
retrieve_dispute = _retrieve(parameters.DISPUTE_RETRIEVE, DISPUTES)
retrieve_early_fraud_warning = _retrieve(parameters.EARLY_FRAUD_WARNING_RETRIEVE, EARLY_FRAUD_WARNINGS)
retrieve_review = _retrieve(parameters.REVIEW_RETRIEVE, REVIEWS)
retrieve_event = _retrieve(parameters.EVENT_RETRIEVE, EVENTS)
list_sessions = _list(parameters.SESSION_LIST, SESSIONS, **_BY_INTENT, status="status")
list_payment_intents = _list(parameters.PAYMENT_INTENT_LIST, PAYMENT_INTENTS)
list_charges = _list(parameters.CHARGE_LIST, CHARGES, **_BY_INTENT)
list_refunds = _list(parameters.REFUND_LIST, REFUNDS, **_BY_CHARGE)
list_disputes = _list(parameters.DISPUTE_LIST, DISPUTES, **_BY_CHARGE)
list_early_fraud_warnings = _list(parameters.EARLY_FRAUD_WARNING_LIST, EARLY_FRAUD_WARNINGS, **_BY_CHARGE)


@operation(parameters.SESSION_CREATE, creation.SUPPORTED)
def create_session(call: Call) -> Rendered:
    """Create a Checkout Session."""
    return render_session(creation.create(params=call.params, now=timezone.now()))


@operation(parameters.SESSION_LINE_ITEMS, PAGING)
def list_line_items(call: Call) -> Rendered:
    """List a session's line items."""
    session = SESSIONS.get(call.stripe_id)
    url = f"{SESSIONS.url}/{session.stripe_id}/line_items"
    return page_of_items(session.line_items, call.params, kind="item", url=url)


@operation(parameters.SESSION_EXPIRE, EXPAND)
def expire_session(call: Call) -> Rendered:
    """End an open session."""
    session = SESSIONS.get(call.stripe_id)
    return render_session(lifecycle.expire(session_id=session.stripe_id, origin=call.origin))


@operation(parameters.PAYMENT_INTENT_CANCEL, {**EXPAND, "cancellation_reason": None})
def cancel_payment_intent(call: Call) -> Rendered:
    """Refuse, as Stripe does for each payment intent that Checkout made."""
    # An unknown id is 404, not this refusal.
    PAYMENT_INTENTS.get(call.stripe_id)
    raise NotPossible(
        "You cannot cancel the PaymentIntent of a Checkout Session. Expire the Checkout Session instead.",
        code="payment_intent_unexpected_state",
    )


@operation(
    parameters.REFUND_CREATE,
    {**EXPAND, "amount": None, "charge": None, "metadata": None, "payment_intent": None, "reason": None},
)
def create_refund(call: Call) -> Rendered:
    """Refund a charge, or the payment intent's."""
    params = call.params
    if ("charge" in params) == ("payment_intent" in params):
        raise ApiError("You must specify one of these parameters: charge, payment_intent, and only one.")
    if "charge" in params:
        intent = CHARGES.named(params["charge"], param="charge").payment_intent
    else:
        intent = PAYMENT_INTENTS.named(params["payment_intent"], param="payment_intent")
    if "amount" in params:
        check_integer(params["amount"], "amount", least=1)
    metadata = params.get("metadata") or {}  # an empty string unsets it
    check_metadata(metadata)
    refund = refunds.refund(
        payment_intent_id=intent.stripe_id,
        amount=params.get("amount"),
        reason=params.get("reason"),
        metadata=metadata,
        origin=call.origin,
    )
    return render_refund(refund)


@operation(parameters.DISPUTE_CLOSE, EXPAND)
def close_dispute(call: Call) -> Rendered:
    """Close a dispute for good, as lost: the merchant does not contest it."""
    dispute = DISPUTES.get(call.stripe_id)
    return render_dispute(disputes.close_dispute(dispute_id=dispute.stripe_id, won=False, origin=call.origin))


@operation(parameters.REVIEW_LIST, {**PAGING, "created": None})
def list_reviews(call: Call) -> Rendered:
    """List the reviews that are open, as Stripe does."""
    return REVIEWS.page(call, REVIEWS.rows.filter(closed_reason=""))


@operation(parameters.REVIEW_APPROVE, EXPAND)
def approve_review(call: Call) -> Rendered:
    """Close a review as approved."""
    review = REVIEWS.get(call.stripe_id)
    approved = Review.Closed.APPROVED
    return render_review(fraud.close_review(review_id=review.stripe_id, reason=approved, origin=call.origin))


@operation(
    parameters.EVENT_LIST, {**PAGING, "created": None, "delivery_success": None, "type": None, "types": None}
)
def list_events(call: Call) -> Rendered:
    """List events, of all types or of some, by whether they were delivered."""
    rows = _of_types(EVENTS.rows, call.params)
    if "delivery_success" in call.params:
        delivered = Exists(Delivery.objects.filter(event=OuterRef("pk"), state=Delivery.State.DELIVERED))
        rows = rows.filter(delivered if call.params["delivery_success"] else ~delivered)
    return EVENTS.page(call, rows)


def _of_types(rows: QuerySet[Event], params: dict[str, Any]) -> QuerySet[Event]:
    """Return the events of one type, of a group such as `charge.*`, or of several types."""
    types = params.get("types")
    if "type" in params:
        if types is not None:
            raise ApiError(
                "You may only specify one of these parameters: type, types.",
                code="parameters_exclusive",
                param="type",
            )
        group, star, rest = params["type"].partition("*")
        if rest:
            raise ApiError("Invalid type: a wildcard stands at the end.", param="type")
        return rows.filter(type__startswith=group) if star else rows.filter(type=group)
    if types is None:
        return rows
    if len(types) > MAX_TYPES:
        raise ApiError(f"Array too long: at most {MAX_TYPES} types.", param="types")
    return rows.filter(type__in=types)

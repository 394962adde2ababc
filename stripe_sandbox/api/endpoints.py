"""What each part of Stripe's API does here."""

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
)
from stripe_sandbox.api.views import Call, operation
from stripe_sandbox.checkout import creation, lifecycle
from stripe_sandbox.errors import ApiError, NotPossible
from stripe_sandbox.limits import Tree, check_integer, check_metadata
from stripe_sandbox.models import Delivery, Event, Review
from stripe_sandbox.objects.dispute import render_dispute
from stripe_sandbox.objects.fraud import render_review
from stripe_sandbox.objects.refund import render_refund
from stripe_sandbox.objects.session import render_session

MAX_TYPES = 20
EXPAND: Tree = {"expand": None}


@operation(parameters.SESSION_CREATE, creation.SUPPORTED)
def create_session(call: Call) -> Rendered:
    return render_session(creation.create(params=call.params, now=timezone.now()))


@operation(parameters.SESSION_RETRIEVE, EXPAND)
def retrieve_session(call: Call) -> Rendered:
    return SESSIONS.retrieve(call)


@operation(parameters.SESSION_LIST, {**PAGING, "created": None, "payment_intent": None, "status": None})
def list_sessions(call: Call) -> Rendered:
    return SESSIONS.list(call, payment_intent="payment_intent__stripe_id", status="status")


@operation(parameters.SESSION_LINE_ITEMS, PAGING)
def list_line_items(call: Call) -> Rendered:
    session = SESSIONS.get(call.stripe_id)
    url = f"{SESSIONS.url}/{session.stripe_id}/line_items"
    return page_of_items(session.line_items, call.params, kind="item", url=url)


@operation(parameters.SESSION_EXPIRE, EXPAND)
def expire_session(call: Call) -> Rendered:
    session = SESSIONS.get(call.stripe_id)
    return render_session(lifecycle.expire(session_id=session.stripe_id, origin=call.origin))


@operation(parameters.PAYMENT_INTENT_RETRIEVE, EXPAND)
def retrieve_payment_intent(call: Call) -> Rendered:
    return PAYMENT_INTENTS.retrieve(call)


@operation(parameters.PAYMENT_INTENT_LIST, {**PAGING, "created": None})
def list_payment_intents(call: Call) -> Rendered:
    return PAYMENT_INTENTS.list(call)


@operation(parameters.PAYMENT_INTENT_CANCEL, {**EXPAND, "cancellation_reason": None})
def cancel_payment_intent(call: Call) -> Rendered:
    """Refuse it, as Stripe does for every payment intent that Checkout made."""
    PAYMENT_INTENTS.get(call.stripe_id)
    raise NotPossible(
        "You cannot cancel the PaymentIntent of a Checkout Session. Expire the Checkout Session instead.",
        code="payment_intent_unexpected_state",
    )


@operation(parameters.CHARGE_RETRIEVE, EXPAND)
def retrieve_charge(call: Call) -> Rendered:
    return CHARGES.retrieve(call)


@operation(parameters.CHARGE_LIST, {**PAGING, "created": None, "payment_intent": None})
def list_charges(call: Call) -> Rendered:
    return CHARGES.list(call, payment_intent="payment_intent__stripe_id")


@operation(
    parameters.REFUND_CREATE,
    {**EXPAND, "amount": None, "charge": None, "metadata": None, "payment_intent": None, "reason": None},
)
def create_refund(call: Call) -> Rendered:
    params = call.params
    if ("charge" in params) == ("payment_intent" in params):
        raise ApiError("You must specify one of these parameters: charge, payment_intent, and only one.")
    if "charge" in params:
        intent = CHARGES.named(params["charge"], param="charge").payment_intent
    else:
        intent = PAYMENT_INTENTS.named(params["payment_intent"], param="payment_intent")
    if "amount" in params:
        check_integer(params["amount"], "amount", least=1)
    metadata = params.get("metadata") or {}  # an empty text unsets it
    check_metadata(metadata)
    refund = lifecycle.refund(
        payment_intent_id=intent.stripe_id,
        amount=params.get("amount"),
        reason=params.get("reason"),
        metadata=metadata,
        origin=call.origin,
    )
    return render_refund(refund)


@operation(parameters.REFUND_RETRIEVE, EXPAND)
def retrieve_refund(call: Call) -> Rendered:
    return REFUNDS.retrieve(call)


@operation(parameters.REFUND_LIST, {**PAGING, "created": None, "charge": None, "payment_intent": None})
def list_refunds(call: Call) -> Rendered:
    return REFUNDS.list(call, charge="charge__stripe_id", payment_intent="charge__payment_intent__stripe_id")


@operation(parameters.DISPUTE_RETRIEVE, EXPAND)
def retrieve_dispute(call: Call) -> Rendered:
    return DISPUTES.retrieve(call)


@operation(parameters.DISPUTE_LIST, {**PAGING, "created": None, "charge": None, "payment_intent": None})
def list_disputes(call: Call) -> Rendered:
    return DISPUTES.list(call, charge="charge__stripe_id", payment_intent="charge__payment_intent__stripe_id")


@operation(parameters.DISPUTE_CLOSE, EXPAND)
def close_dispute(call: Call) -> Rendered:
    """Close a dispute for good, as lost: the merchant does not contest it."""
    dispute = DISPUTES.get(call.stripe_id)
    return render_dispute(
        lifecycle.close_dispute(dispute_id=dispute.stripe_id, won=False, origin=call.origin)
    )


@operation(parameters.EARLY_FRAUD_WARNING_RETRIEVE, EXPAND)
def retrieve_early_fraud_warning(call: Call) -> Rendered:
    return EARLY_FRAUD_WARNINGS.retrieve(call)


@operation(
    parameters.EARLY_FRAUD_WARNING_LIST, {**PAGING, "created": None, "charge": None, "payment_intent": None}
)
def list_early_fraud_warnings(call: Call) -> Rendered:
    return EARLY_FRAUD_WARNINGS.list(
        call, charge="charge__stripe_id", payment_intent="charge__payment_intent__stripe_id"
    )


@operation(parameters.REVIEW_RETRIEVE, EXPAND)
def retrieve_review(call: Call) -> Rendered:
    return REVIEWS.retrieve(call)


@operation(parameters.REVIEW_LIST, {**PAGING, "created": None})
def list_reviews(call: Call) -> Rendered:
    """List the reviews that are open, as Stripe does."""
    return REVIEWS.page(call, REVIEWS.rows.filter(closed_reason=""))


@operation(parameters.REVIEW_APPROVE, EXPAND)
def approve_review(call: Call) -> Rendered:
    review = REVIEWS.get(call.stripe_id)
    approved = Review.Closed.APPROVED
    return render_review(
        lifecycle.close_review(review_id=review.stripe_id, reason=approved, origin=call.origin)
    )


@operation(parameters.EVENT_RETRIEVE, EXPAND)
def retrieve_event(call: Call) -> Rendered:
    return EVENTS.retrieve(call)


@operation(
    parameters.EVENT_LIST, {**PAGING, "created": None, "delivery_success": None, "type": None, "types": None}
)
def list_events(call: Call) -> Rendered:
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

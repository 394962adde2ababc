"""Render refunds. Source: https://docs.stripe.com/api/refunds/object."""

from typing import Any

from stripe_sandbox.models import Refund
from stripe_sandbox.timing import seconds

_NOTHING_KNOWN = (
    "customer",
    "customer_account",
    "receipt_number",
    "source_transfer_reversal",
    "transfer_reversal",
)


def render_refund(refund: Refund) -> dict[str, Any]:
    """Return the object as JSON values."""
    charge = refund.charge
    return {
        "id": refund.stripe_id,
        "object": "refund",
        **dict.fromkeys(_NOTHING_KNOWN),
        "amount": refund.amount,
        "balance_transaction": refund.balance_transaction and refund.balance_transaction["id"],
        "charge": charge.stripe_id,
        "created": seconds(refund.created_at),
        "currency": charge.payment_intent.currency,
        "destination_details": destination_details(refund),
        "metadata": refund.metadata,
        "payment_intent": charge.payment_intent.stripe_id,
        "payment_method": charge.payment_method_id,
        "reason": refund.reason,
        "status": refund.status,
    } | _more(refund)


def _more(refund: Refund) -> dict[str, Any]:
    """Return the fields of pending and failed refunds."""
    if refund.status == Refund.Status.PENDING:
        return {"pending_reason": "processing"}
    if refund.status != Refund.Status.FAILED:
        return {}
    # Always the same reason: nobody chooses one on the control page.
    more = {"failure_reason": "expired_or_canceled_card"}
    if refund.failure_balance_transaction:  # earlier versions kept none
        more["failure_balance_transaction"] = refund.failure_balance_transaction["id"]
    return more


def destination_details(refund: Refund) -> dict[str, Any]:
    """Return where the money goes. The card network's reference comes later."""
    kind = refund.charge.payment_method_type
    if kind != "card":
        return {"type": kind}
    card = {
        "reference_status": "available" if refund.reference else "pending",
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    } | ({"reference": refund.reference} if refund.reference else {})
    return {"card": card, "type": "card"}

"""Render disputes. Source: https://docs.stripe.com/api/disputes/object."""

from typing import Any

from stripe_sandbox.models import Dispute
from stripe_sandbox.objects.payment_method import card_of
from stripe_sandbox.timing import seconds

_EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)


def render_dispute(dispute: Dispute) -> dict[str, Any]:
    """Return the object as JSON values."""
    charge = dispute.charge
    brand = card_of(charge)["brand"]
    card = {"brand": brand, "case_type": dispute.case_type, "network": brand, "network_reason_code": "10.4"}
    is_card = charge.payment_method_type == "card"
    return {
        "id": dispute.stripe_id,
        "object": "dispute",
        "amount": dispute.amount,
        "balance_transactions": dispute.balance_transactions,
        "charge": charge.stripe_id,
        "created": seconds(dispute.created_at),
        "currency": charge.payment_intent.currency,
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(_EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": None if dispute.status == Dispute.Status.PREVENTED else seconds(dispute.due_by),
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "intended_submission_method": None,
        "is_charge_refundable": dispute.is_open and charge.refundable > 0,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge.payment_intent.stripe_id,
        "reason": dispute.reason,
        "status": dispute.status,
    } | ({"payment_method_details": {"card": card, "type": "card"}} if is_card else {})

from datetime import datetime, timedelta
from typing import Any

from payments.sandbox.ids import new_id
from payments.sandbox.models import Dispute

from .times import seconds

_TIME_TO_RESPOND = timedelta(days=9)
_FEE = 1500
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
    charge = dispute.charge
    card = {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"}
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
            "due_by": seconds(dispute.created_at + _TIME_TO_RESPOND),
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge.payment_intent.stripe_id,
        "reason": "fraudulent",
        "status": dispute.status,
    } | ({"payment_method_details": {"card": card, "type": "card"}} if is_card else {})


def withdrawal(dispute: Dispute, *, now: datetime) -> dict[str, Any]:
    """Return the balance transaction that takes the disputed money, and the fee, from the account."""
    return _moved(dispute, -dispute.amount, _FEE, "Chargeback withdrawal", "dispute", now=now)


def reinstatement(dispute: Dispute, *, now: datetime) -> dict[str, Any]:
    """Return the balance transaction that gives the money back after a dispute is won."""
    return _moved(dispute, dispute.amount, -_FEE, "Chargeback reversal", "dispute_reversal", now=now)


def _moved(
    dispute: Dispute, amount: int, fee: int, description: str, category: str, *, now: datetime
) -> dict[str, Any]:
    currency = dispute.charge.payment_intent.currency
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": seconds(now),
        "balance_type": "payments",
        "created": seconds(now),
        "currency": currency,
        "description": f"{description} for {dispute.charge.stripe_id}",
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [
            {
                "amount": fee,
                "application": None,
                "currency": currency,
                "description": "Dispute fee",
                "type": "stripe_fee",
            }
        ],
        "net": amount - fee,
        "reporting_category": category,
        "source": dispute.stripe_id,
        "status": "available",
        "type": "adjustment",
    }

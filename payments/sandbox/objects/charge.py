from typing import Any

from payments.sandbox.models import Charge

from .payment_method import billing_details, payment_method_details
from .times import seconds

_NOTHING_KNOWN = (
    "application",
    "application_fee",
    "application_fee_amount",
    "balance_transaction",
    "customer",
    "failure_balance_transaction",
    "on_behalf_of",
    "receipt_number",
    "receipt_url",
    "review",
    "shipping",
    "source",
    "source_transfer",
    "statement_descriptor",
    "transfer_data",
    "transfer_group",
)


def render_charge(charge: Charge) -> dict[str, Any]:
    intent = charge.payment_intent
    succeeded = charge.status == Charge.Status.SUCCEEDED
    failed = charge.status == Charge.Status.FAILED
    refunded = charge.amount_refunded
    failure = charge.failure or {}
    return {
        "id": charge.stripe_id,
        "object": "charge",
        **dict.fromkeys(_NOTHING_KNOWN),
        "amount": intent.amount,
        "amount_captured": intent.amount if succeeded else 0,
        "amount_refunded": refunded,
        "billing_details": billing_details(intent.data.get("receipt_email")),
        "calculated_statement_descriptor": "SANDBOX",
        "captured": succeeded,
        "created": seconds(charge.created_at),
        "currency": intent.currency,
        "description": intent.data.get("description"),
        "disputed": charge.disputes.exists(),
        "failure_code": failure.get("code"),
        "failure_message": failure.get("message"),
        "fraud_details": {},
        "livemode": False,
        "metadata": intent.data.get("metadata", {}),
        "outcome": _outcome(charge),
        "paid": not failed,
        "payment_intent": intent.stripe_id,
        "payment_method": charge.payment_method_id,
        "payment_method_details": payment_method_details(charge),
        "radar_options": {},
        "receipt_email": intent.data.get("receipt_email"),
        "refunded": refunded == intent.amount,
        "statement_descriptor_suffix": intent.data.get("statement_descriptor_suffix"),
        "status": charge.status,
    }


def _outcome(charge: Charge) -> dict[str, Any]:
    failure = charge.failure
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if failure else "approved_by_network",
        "reason": failure["decline_code"] or failure["code"] if failure else None,
        "risk_level": "normal",
        "risk_score": 11,
        "seller_message": failure["message"] if failure else "Payment complete.",
        "type": "issuer_declined" if failure else "authorized",
    }

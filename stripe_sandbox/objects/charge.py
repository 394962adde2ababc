"""Render charges. Source: https://docs.stripe.com/api/charges/object."""

from typing import Any

from stripe_sandbox.models import Charge
from stripe_sandbox.objects.payment_method import billing_details, card_of, payment_method_details
from stripe_sandbox.timing import seconds

_NOTHING_KNOWN = (
    "application",
    "application_fee",
    "application_fee_amount",
    "customer",
    "failure_balance_transaction",
    "on_behalf_of",
    "receipt_number",
    "shipping",
    "source",
    "source_transfer",
    "statement_descriptor",
    "transfer_data",
    "transfer_group",
)


def render_charge(charge: Charge) -> dict[str, Any]:
    """Return the object as JSON values."""
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
        "balance_transaction": charge.balance_transaction and charge.balance_transaction["id"],
        "billing_details": billing_details(intent.data.get("receipt_email")),
        "calculated_statement_descriptor": "SANDBOX",
        "captured": succeeded,
        "created": seconds(charge.created_at),
        "currency": intent.currency,
        "description": intent.data.get("description"),
        "disputed": charge.is_disputed,
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
        "receipt_url": charge.receipt_url if charge.status == Charge.Status.SUCCEEDED else None,
        "refunded": refunded == intent.amount,
        "review": charge.review_id,
        "statement_descriptor_suffix": intent.data.get("statement_descriptor_suffix"),
        "status": charge.status,
    }


def _outcome(charge: Charge) -> dict[str, Any]:
    failure = charge.failure or {}
    blocked = failure.get("blocked", False)
    card = card_of(charge)
    risk = {"risk_level": card["risk_level"], "risk_score": card["risk_score"]}
    return {
        "advice_code": failure.get("advice_code"),
        "network_advice_code": None,
        "network_decline_code": failure.get("network_decline_code"),
        "network_status": _network_status(failure, blocked=blocked),
        "reason": "highest_risk_level" if blocked else failure.get("decline_code") or failure.get("code"),
        "seller_message": _seller_message(failure, blocked=blocked),
        "type": "blocked" if blocked else "issuer_declined" if failure else "authorized",
    } | (risk if charge.payment_method_type == "card" else {"risk_level": "not_assessed"})


def _network_status(failure: dict[str, Any], *, blocked: bool) -> str:
    if blocked:
        return "not_sent_to_network"
    return "declined_by_network" if failure else "approved_by_network"


def _seller_message(failure: dict[str, Any], *, blocked: bool) -> str:
    """Return the message for the merchant, which can say more than the customer's."""
    if blocked:
        return "Stripe blocked this payment as too risky."
    if not failure:
        return "Payment complete."
    why = (failure.get("decline_code") or failure["code"]).replace("_", " ")
    return f"The bank returned the decline code `{why}`."

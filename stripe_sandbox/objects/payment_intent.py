"""Render payment intents. Source: https://docs.stripe.com/api/payment_intents/object."""

from typing import Any

from stripe_sandbox.models import Charge, PaymentIntent
from stripe_sandbox.objects.payment_method import render_payment_method
from stripe_sandbox.timing import seconds

_NOTHING_KNOWN = (
    "allowed_payment_method_types",
    "application",
    "application_fee_amount",
    "automatic_payment_methods",
    "customer",
    "customer_account",
    "excluded_payment_method_types",
    "managed_payments",
    "next_action",
    "on_behalf_of",
    "payment_method_configuration_details",
    "payment_record",
    "processing",
    "setup_future_usage",
    "shipping",
    "source",
    "statement_descriptor",
    "transfer_data",
    "transfer_group",
)
_ASKED_FOR = ("description", "receipt_email", "statement_descriptor_suffix")


def render_payment_intent(intent: PaymentIntent) -> dict[str, Any]:
    """Return the object as JSON values."""
    charge = intent.latest_charge
    succeeded = intent.status == PaymentIntent.Status.SUCCEEDED
    failed = charge is not None and charge.status == Charge.Status.FAILED
    return {
        "id": intent.stripe_id,
        "object": "payment_intent",
        **dict.fromkeys(_NOTHING_KNOWN),
        **{name: intent.data.get(name) for name in _ASKED_FOR},
        "amount": intent.amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": intent.amount if succeeded else 0,
        "canceled_at": intent.canceled_at and seconds(intent.canceled_at),
        "cancellation_reason": intent.cancellation_reason or None,
        "capture_method": "automatic_async",
        "client_secret": intent.client_secret,
        "confirmation_method": "automatic",
        "created": seconds(intent.created_at),
        "currency": intent.currency,
        "last_payment_error": _error(charge) if charge and failed else None,
        "latest_charge": charge.stripe_id if charge else None,
        "livemode": False,
        "metadata": intent.data.get("metadata", {}),
        # A method that failed is off the intent again: the customer chooses another one.
        "payment_method": charge.payment_method_id if charge and not failed else None,
        "payment_method_options": {},
        "payment_method_types": intent.payment_method_types,
        "review": charge.review_id if charge else None,
        "status": intent.status,
    }


def _error(charge: Charge) -> dict[str, Any]:
    failure = charge.failure or {}
    optional = ("advice_code", "decline_code", "network_decline_code")
    return {
        "type": "card_error",
        "charge": charge.stripe_id,
        "code": failure["code"],
        "doc_url": f"https://docs.stripe.com/error-codes/{failure['code'].replace('_', '-')}",
        "message": failure["message"],
        "payment_method": render_payment_method(
            charge, email=charge.payment_intent.data.get("receipt_email")
        ),
    } | {name: failure[name] for name in optional if failure.get(name)}

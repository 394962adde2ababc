"""Render Checkout Sessions. Source: https://docs.stripe.com/api/checkout/sessions/object."""

from typing import Any

from stripe_sandbox.models import Session
from stripe_sandbox.objects.payment_method import (
    ADDRESS,
    CUSTOMER_EMAIL,
    CUSTOMER_NAME,
    payment_method_types,
)
from stripe_sandbox.timing import seconds

_ECHOED = ("cancel_url", "client_reference_id", "customer_email", "locale", "submit_type", "success_url")
_NOTHING_KNOWN = (
    "after_expiration",
    "allowed_payment_method_types",
    "allow_promotion_codes",
    "billing_address_collection",
    "client_secret",
    "collected_information",
    "consent",
    "consent_collection",
    "currency_conversion",
    "customer",
    "customer_account",
    "discounts",
    "integration_identifier",
    "invoice",
    "invoice_creation",
    "managed_payments",
    "origin_context",
    "payment_link",
    "payment_method_configuration_details",
    "permissions",
    "recovered_from",
    "saved_payment_method_options",
    "setup_intent",
    "shipping_address_collection",
    "shipping_cost",
    "subscription",
    "wallet_options",
)


def render_session(session: Session) -> dict[str, Any]:
    """Return the object as JSON values."""
    intent = session.payment_intent
    return {
        "id": session.stripe_id,
        "object": "checkout.session",
        **dict.fromkeys(_NOTHING_KNOWN),
        **{name: session.params.get(name) for name in _ECHOED},
        "adaptive_pricing": {"enabled": False},
        "amount_subtotal": session.amount_total,
        "amount_total": session.amount_total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "created": seconds(session.created_at),
        "currency": session.currency,
        "custom_fields": [],
        "custom_text": dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
        ),
        "customer_creation": "if_required",
        "customer_details": _customer_details(session),
        "expires_at": seconds(session.expires_at),
        "livemode": False,
        "metadata": session.params.get("metadata", {}),
        "mode": "payment",
        "payment_intent": intent.stripe_id if intent else None,
        "payment_method_collection": "if_required",
        "payment_method_options": {},
        "payment_method_types": payment_method_types(session.currency),
        "payment_status": session.payment_status,
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "status": session.status,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": session.url,
    }


def _customer_details(session: Session) -> dict[str, Any] | None:
    """Return the customer's details: before the session is complete, only a given email address."""
    email = session.params.get("customer_email")
    complete = session.status == Session.Status.COMPLETE
    if not complete and not email:
        return None
    return {
        "address": ADDRESS if complete else None,
        "business_name": None,
        "email": email or CUSTOMER_EMAIL,
        "individual_name": None,
        "name": CUSTOMER_NAME if complete else None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [] if complete else None,
    }

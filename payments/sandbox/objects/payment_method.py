"""What the customer pays with: always the same card, or one delayed method for each currency."""

from typing import Any

from payments.sandbox.models import Charge

from .times import seconds

CUSTOMER_NAME = "Sandbox Customer"
CUSTOMER_EMAIL = "customer@example.com"
ADDRESS = {
    "city": None,
    "country": "US",
    "line1": None,
    "line2": None,
    "postal_code": "94107",
    "state": None,
}

_DELAYED = {
    "aud": "au_becs_debit",
    "cad": "acss_debit",
    "gbp": "bacs_debit",
    "jpy": "konbini",
    "usd": "us_bank_account",
}


def delayed_method(currency: str) -> str:
    """Return the payment method whose success is known days later; any other currency is debited like euros."""
    return _DELAYED.get(currency, "sepa_debit")


def payment_method_types(currency: str) -> list[str]:
    return ["card", delayed_method(currency)]


def billing_details(email: str | None) -> dict[str, Any]:
    return {
        "address": ADDRESS,
        "email": email or CUSTOMER_EMAIL,
        "name": CUSTOMER_NAME,
        "phone": None,
        "tax_id": None,
    }


_CARD: dict[str, Any] = {
    "brand": "visa",
    "checks": {"address_line1_check": None, "address_postal_code_check": "pass", "cvc_check": "pass"},
    "country": "US",
    "exp_month": 12,
    "exp_year": 2034,
    "fingerprint": "Xt5EWLLDS7FJjR1c",
    "funding": "credit",
    "last4": "4242",
    "regulated_status": "unregulated",
    "wallet": None,
}


def render_payment_method(charge: Charge, *, email: str | None) -> dict[str, Any]:
    """Return what a charge was paid with, or was meant to be, as an object of its own."""
    card = _CARD | {
        "display_brand": "visa",
        "generated_from": None,
        "networks": {"available": ["visa"], "preferred": None},
        "three_d_secure_usage": {"supported": True},
    }
    kind = charge.payment_method_type
    return {
        "id": charge.payment_method_id,
        "object": "payment_method",
        "allow_redisplay": "limited",
        "billing_details": billing_details(email),
        kind: card if kind == "card" else {},
        "created": seconds(charge.created_at),
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": kind,
    }


def payment_method_details(charge: Charge) -> dict[str, Any]:
    """Return how a charge was paid, as it stands on the charge."""
    card = _CARD | {
        "amount_authorized": charge.payment_intent.amount
        if charge.status == charge.Status.SUCCEEDED
        else None,
        "authorization_code": None,
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": "visa",
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {
            "maximum_amount_capturable": charge.payment_intent.amount,
            "status": "unavailable",
        },
        "three_d_secure": None,
        "transaction_link_id": None,
    }
    kind = charge.payment_method_type
    return {kind: card if kind == "card" else {}, "type": kind}

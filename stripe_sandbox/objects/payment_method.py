"""Render payment methods: a card of cards.py, or the delayed method of a currency."""

from typing import Any

from stripe_sandbox.checkout.cards import CARDS
from stripe_sandbox.models import Charge
from stripe_sandbox.timing import seconds

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
_TEST_BANK = "STRIPE TEST BANK"
_FINGERPRINT = "Xt5EWLLDS7FJjR1c"

_DELAYED = {
    "aud": "au_becs_debit",
    "cad": "acss_debit",
    "gbp": "bacs_debit",
    "jpy": "konbini",
    "usd": "us_bank_account",
}
_BANKS: dict[str, dict[str, Any]] = {
    "acss_debit": {
        "bank_name": _TEST_BANK,
        "fingerprint": _FINGERPRINT,
        "institution_number": "000",
        "last4": "6789",
        "transit_number": "11000",
    },
    "au_becs_debit": {"bsb_number": "000000", "fingerprint": _FINGERPRINT, "last4": "3456"},
    "bacs_debit": {"fingerprint": _FINGERPRINT, "last4": "2345", "sort_code": "108800"},
    "konbini": {},
    "sepa_debit": {
        "bank_code": "37040044",
        "branch_code": "",
        "country": "DE",
        "fingerprint": _FINGERPRINT,
        "last4": "3000",
    },
    "us_bank_account": {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": _TEST_BANK,
        "fingerprint": _FINGERPRINT,
        "last4": "6789",
        "routing_number": "110000000",
    },
}
"""The test accounts of https://docs.stripe.com/testing: the fields that payment methods and charges share."""
_ON_CHARGES: dict[str, dict[str, Any]] = {
    "bacs_debit": {"mandate": None},
    "konbini": {"store": None},
    "sepa_debit": {"mandate": None},
    "us_bank_account": {"payment_reference": None},
}
_ON_METHODS: dict[str, dict[str, Any]] = {
    "sepa_debit": {"generated_from": None},
    "us_bank_account": {"financial_connections_account": None, "networks": None, "status_details": None},
}


def delayed_method(currency: str) -> str:
    """Return the delayed payment method of a currency. Others than those listed use SEPA debits, like euros."""
    return _DELAYED.get(currency, "sepa_debit")


def payment_method_types(currency: str) -> list[str]:
    """Return the payment methods that a session of this currency offers."""
    return ["card", delayed_method(currency)]


def billing_details(email: str | None) -> dict[str, Any]:
    """Return the customer's billing details."""
    return {
        "address": ADDRESS,
        "email": email or CUSTOMER_EMAIL,
        "name": CUSTOMER_NAME,
        "phone": None,
        "tax_id": None,
    }


def card_of(charge: Charge) -> dict[str, Any]:
    """Return the charge's card, or a Visa if it was not paid by card."""
    return charge.card or CARDS["visa"].kept()


def render_payment_method(charge: Charge, *, email: str | None) -> dict[str, Any]:
    """Return the payment method of a charge as JSON values."""
    kind = charge.payment_method_type
    return {
        "id": charge.payment_method_id,
        "object": "payment_method",
        "allow_redisplay": "limited",
        "billing_details": billing_details(email),
        kind: _card_method(charge) if kind == "card" else _BANKS[kind] | _ON_METHODS.get(kind, {}),
        "created": seconds(charge.created_at),
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": kind,
    }


def payment_method_details(charge: Charge) -> dict[str, Any]:
    """Return the charge's `payment_method_details`."""
    kind = charge.payment_method_type
    return {
        kind: _charged_card(charge) if kind == "card" else _BANKS[kind] | _ON_CHARGES.get(kind, {}),
        "type": kind,
    }


def _card(charge: Charge) -> dict[str, Any]:
    card = card_of(charge)
    wallet = card["wallet"]
    cvc = "fail" if (charge.failure or {}).get("code") == "incorrect_cvc" else "pass"
    return {
        "brand": card["brand"],
        "checks": {"address_line1_check": None, "address_postal_code_check": "pass", "cvc_check": cvc},
        "country": "US",
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": _FINGERPRINT,
        "funding": card["funding"],
        "last4": card["last4"],
        "regulated_status": "unregulated",
        "wallet": wallet and {"dynamic_last4": card["last4"], wallet: {}, "type": wallet},
    }


def _card_method(charge: Charge) -> dict[str, Any]:
    brand = card_of(charge)["brand"]
    shown = "american_express" if brand == "amex" else brand
    return _card(charge) | {
        "display_brand": shown,
        "generated_from": None,
        "networks": {"available": [brand], "preferred": None},
        "three_d_secure_usage": {"supported": True},
    }


def _charged_card(charge: Charge) -> dict[str, Any]:
    amount = charge.payment_intent.amount
    return _card(charge) | {
        "amount_authorized": amount if charge.status == charge.Status.SUCCEEDED else None,
        "authorization_code": None,
        "electronic_commerce_indicator": None,
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card_of(charge)["brand"],
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "three_d_secure": None,
        "transaction_link_id": None,
    }

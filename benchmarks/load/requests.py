"""Whole HTTP requests, built and signed before they are due."""

import hashlib
import hmac
import json
import time
from typing import Any

from benchmarks.rides import AMOUNT, CURRENCY, Ride


def webhook(ride: Ride, *, secret: str, port: int) -> bytes:
    """Return the request that says that a ride is paid, signed now.

    Source: https://docs.stripe.com/webhooks#verify-manually
    """
    body = _EVENT
    for name, value in (
        (b"@number@", f"{ride.number:024}"),
        (b"@payment@", str(ride.payment_id)),
        (b"@ride@", ride.ride_id),
        (b"@session@", ride.session_id),
    ):
        body = body.replace(name, value.encode())
    at = int(time.time())
    signature = hmac.digest(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hex()
    head = (
        f"POST /webhooks/stripe/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: Stripe/1.0\r\n"
        "Accept: */*\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Stripe-Signature: t={at},v1={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def payment(ride: Ride, *, api_key: str, port: int) -> bytes:
    """Return the request of the ride's backend for a payment."""
    asked = {"rideId": ride.ride_id, "userId": ride.user_id, "amount": AMOUNT, "currency": CURRENCY}
    body = json.dumps(asked).encode()
    head = (
        f"POST /api/payments HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _session() -> dict[str, Any]:
    """Return a paid Checkout Session, of the size of Stripe's: https://docs.stripe.com/api/checkout/sessions/object."""
    unknown = (  # noqa: SIM905 as a list it would hide the rest
        "after_expiration allow_promotion_codes billing_address_collection client_secret collected_information "
        "consent consent_collection currency_conversion customer customer_account customer_email discounts invoice "
        "locale managed_payments origin_context payment_link payment_method_configuration_details permissions "
        "recovered_from saved_payment_method_options setup_intent shipping_address_collection shipping_cost "
        "submit_type subscription url wallet_options"
    ).split()
    return dict.fromkeys(unknown) | {
        "id": "@session@",
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "amount_subtotal": AMOUNT,
        "amount_total": AMOUNT,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": "http://localhost:9090/checkout/cancel",
        "client_reference_id": "@payment@",
        "created": 1_780_000_000,
        "currency": CURRENCY,
        "custom_fields": [],
        "custom_text": {"after_submit": None, "shipping_address": None, "submit": None},
        "customer_creation": "if_required",
        "customer_details": {
            "address": {"city": None, "country": "DE", "line1": None, "line2": None, "postal_code": None},
            "email": "rider@example.com",
            "name": "Erika Mustermann",
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [],
        },
        "expires_at": 1_780_086_400,
        "livemode": False,
        "metadata": {"payment_id": "@payment@", "ride_id": "@ride@"},
        "mode": "payment",
        "payment_intent": "pi_@number@",
        "payment_method_collection": "if_required",
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card", "link"],
        "payment_status": "paid",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "status": "complete",
        "success_url": "http://localhost:9090/checkout/success",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted",
    }


_EVENT = json.dumps(
    {
        "id": "evt_@number@",
        "object": "event",
        "api_version": "2025-10-29.clover",
        "created": 1_780_000_100,
        "data": {"object": _session()},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": "checkout.session.completed",
    },
    indent=2,
).encode()

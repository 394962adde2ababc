"""Stripe's side of the two peers in Python: the signature on a webhook, the request for a Checkout Session."""

import hashlib
import hmac
import os
import time
from typing import Any
from uuid import UUID

from .orders import NewPayment

SECRET = os.environ["WEBHOOK_SECRET"].encode()
SESSIONS = f"{os.environ['STRIPE_API_BASE']}/v1/checkout/sessions"
KEY = os.environ.get("STRIPE_SECRET_KEY", "sk_test_peer")
TOLERANCE_SECONDS = 300


def is_signed(*, body: bytes, header: str) -> bool:
    """Check `t=…,v1=…`; while a secret is being changed there are several v1."""
    at, given = "", []
    for part in header.split(","):
        key, _, value = part.partition("=")
        if key == "t":
            at = value
        elif key == "v1":
            given.append(value)
    if not at.isdecimal() or abs(time.time() - int(at)) > TOLERANCE_SECONDS:
        return False
    expected = hmac.digest(SECRET, at.encode() + b"." + body, hashlib.sha256).hex().encode()
    return any(hmac.compare_digest(expected, value.encode()) for value in given)


def session_request(payment_id: UUID, order: NewPayment) -> dict[str, Any]:
    """Return `data` and `headers` of the POST to SESSIONS that makes a payment's Checkout Session."""
    price = "line_items[0][price_data]"
    form = {
        "mode": "payment",
        "client_reference_id": str(payment_id),
        "line_items[0][quantity]": "1",
        f"{price}[currency]": order.currency.lower(),
        f"{price}[unit_amount]": str(order.amount),
        f"{price}[product_data][name]": order.description or f"Ride {order.ride_id}",
        "metadata[payment_id]": str(payment_id),
        "metadata[ride_id]": order.ride_id,
        "payment_intent_data[metadata][payment_id]": str(payment_id),
        "payment_intent_data[metadata][ride_id]": order.ride_id,
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
    }
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": f"payment-{payment_id}"}
    return {"data": form, "headers": headers}

"""Stripe's signature on a webhook, and the request for a Checkout Session."""

import hashlib
import hmac
import os
import time
from typing import Any

import httpx

SECRET = os.environ["WEBHOOK_SECRET"].encode()
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


async def create_session(
    http: httpx.AsyncClient, *, form: dict[str, str], idempotency_key: str
) -> dict[str, Any]:
    """Return the Checkout Session that Stripe made of the form's fields."""
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": idempotency_key}
    response = await http.post("/v1/checkout/sessions", data=form, headers=headers)
    response.raise_for_status()
    session: dict[str, Any] = response.json()
    return session

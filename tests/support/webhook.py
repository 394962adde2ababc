"""Stripe, as it delivers an event over HTTP."""

import hashlib
import hmac
import json
import time
import uuid

from django.conf import settings


def signed(body, *, secret=None, at=None):
    at = int(at or time.time())
    secret = secret or settings.STRIPE_WEBHOOK_SECRETS[0]
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={digest}"}


def event():
    """Return an event of no interest, as Stripe would send it."""
    return json.dumps(
        {
            "object": "event",
            "id": f"evt_{uuid.uuid4().hex}",
            "type": "customer.created",
            "created": int(time.time()),
            "livemode": False,
            "api_version": None,
            "data": {"object": {"id": "cus_1", "object": "customer"}},
        }
    ).encode()


def deliver(server, body):
    """Deliver an event; return the response."""
    return server.http.post("/webhooks/stripe/", content=body, headers=signed(body))

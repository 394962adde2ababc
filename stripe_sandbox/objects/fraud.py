"""Render early fraud warnings and reviews.

Source: https://docs.stripe.com/api/radar/early_fraud_warnings and https://docs.stripe.com/api/radar/reviews.
"""

from typing import Any

from stripe_sandbox.models import EarlyFraudWarning, Review
from stripe_sandbox.timing import seconds


def render_warning(warning: EarlyFraudWarning) -> dict[str, Any]:
    """Return the early fraud warning as JSON values."""
    charge = warning.charge
    return {
        "id": warning.stripe_id,
        "object": "radar.early_fraud_warning",
        "actionable": warning.actionable,
        "charge": charge.stripe_id,
        "created": seconds(warning.created_at),
        "fraud_type": warning.fraud_type,
        "livemode": False,
        "payment_intent": charge.payment_intent.stripe_id,
    }


def render_review(review: Review) -> dict[str, Any]:
    """Return the review as JSON values."""
    charge = review.charge
    closed = review.closed_reason or None
    return {
        "id": review.stripe_id,
        "object": "review",
        "billing_zip": "94107",
        "charge": charge.stripe_id,
        "closed_reason": closed,
        "created": seconds(review.created_at),
        "ip_address": None,
        "ip_address_location": None,
        "livemode": False,
        "open": closed is None,
        "opened_reason": "rule",
        "payment_intent": charge.payment_intent.stripe_id,
        "reason": closed or "rule",
        "session": None,
    }

"""What can happen to a payment of 1250 minor units, and the status in which it has to end."""

from collections.abc import Callable
from typing import Any

from payments.models import Payment
from payments.status import Status

from . import stripe_events as stripe

Story = Callable[[Payment], list[dict[str, Any]]]

STORIES: dict[str, tuple[Story, Status]] = {
    "paid": (stripe.paid, Status.SUCCEEDED),
    "declined": (stripe.declined, Status.FAILED),
    "declined, then paid": (lambda p: stripe.declined(p) + stripe.paid(p), Status.SUCCEEDED),
    "paid by a delayed method": (stripe.paid_later, Status.PROCESSING),
    "delayed and confirmed": (lambda p: stripe.paid_later(p) + stripe.confirmed(p), Status.SUCCEEDED),
    "delayed and bounced": (lambda p: stripe.paid_later(p) + stripe.bounced(p), Status.FAILED),
    "declined, then delayed": (lambda p: stripe.declined(p) + stripe.paid_later(p), Status.PROCESSING),
    "expired": (stripe.expired, Status.EXPIRED),
    "declined, then expired": (lambda p: stripe.declined(p) + stripe.expired(p), Status.EXPIRED),
    "refunded in part": (
        lambda p: stripe.paid(p) + stripe.refunded(p, "re_1", amount=500, total=500),
        Status.PARTIALLY_REFUNDED,
    ),
    "refunded in two parts": (
        lambda p: (
            stripe.paid(p)
            + stripe.refunded(p, "re_1", amount=500, total=500)
            + stripe.refunded(p, "re_2", amount=750, total=1250)
        ),
        Status.REFUNDED,
    ),
    "refund failed": (
        lambda p: (
            stripe.paid(p)
            + stripe.refunded(p, "re_1", amount=1250, total=1250)
            + stripe.refund_failed(p, "re_1", amount=1250)
        ),
        Status.SUCCEEDED,
    ),
    "second of two refunds failed": (
        lambda p: (
            stripe.paid(p)
            + stripe.refunded(p, "re_1", amount=500, total=500)
            + stripe.refunded(p, "re_2", amount=750, total=1250)
            + stripe.refund_failed(p, "re_2", amount=750)
        ),
        Status.PARTIALLY_REFUNDED,
    ),
    "disputed": (lambda p: stripe.paid(p) + stripe.disputed(p, "du_1"), Status.DISPUTED),
    "dispute won": (lambda p: stripe.paid(p) + stripe.disputed(p, "du_1", ends="won"), Status.SUCCEEDED),
    "dispute lost": (lambda p: stripe.paid(p) + stripe.disputed(p, "du_1", ends="lost"), Status.CHARGED_BACK),
    "dispute lost, then won late": (
        lambda p: (
            stripe.paid(p) + stripe.disputed(p, "du_1", ends="lost") + stripe.disputed(p, "du_1", ends="won")
        ),
        Status.SUCCEEDED,
    ),
    "paid too little": (
        lambda p: [stripe.event(p, "checkout.session.completed", payment_status="paid", amount_total=1)],
        Status.PENDING,
    ),
    "paid in another currency": (
        lambda p: [stripe.event(p, "payment_intent.succeeded", currency="eur")],
        Status.PENDING,
    ),
    "declined, then expired with its intent": (
        lambda p: (
            stripe.declined(p)
            + stripe.expired(p)
            + [stripe.event(p, "payment_intent.canceled", cancellation_reason="expired")]
        ),
        Status.EXPIRED,
    ),
    "intent canceled": (lambda p: [stripe.event(p, "payment_intent.canceled")], Status.CANCELED),
}

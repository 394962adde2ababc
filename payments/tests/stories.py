"""What can happen to a payment of 1250 minor units, and the status in which it has to end."""

from collections.abc import Callable
from typing import Any

from payments.models import Payment
from payments.status import Status
from payments.tests import stripe_events as stripe

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
    "dispute lost, won late, and lost again": (
        lambda p: (
            stripe.paid(p)
            + stripe.disputed(p, "du_1", ends="lost")
            + stripe.disputed(p, "du_1", ends="won")
            + stripe.disputed(p, "du_1", ends="lost", moves=2)
        ),
        Status.CHARGED_BACK,
    ),
    "lost dispute appealed": (
        lambda p: (
            stripe.paid(p)
            + stripe.disputed(p, "du_1", ends="lost")
            + [
                stripe.event(
                    p,
                    "charge.dispute.updated",
                    of="du_1",
                    status="appeal_under_review",
                    balance_transactions=stripe.movements(p, "du_1", p.amount, count=1),
                )
            ]
        ),
        Status.DISPUTED,
    ),
    "disputed in part": (
        lambda p: stripe.paid(p) + stripe.disputed(p, "du_1", amount=500),
        Status.DISPUTED,
    ),
    "dispute over a part lost": (
        lambda p: stripe.paid(p) + stripe.disputed(p, "du_1", amount=500, ends="lost"),
        Status.PARTIALLY_REFUNDED,
    ),
    "refunded in part, the rest lost by a dispute": (
        lambda p: (
            stripe.paid(p)
            + stripe.refunded(p, "re_1", amount=500, total=500)
            + stripe.disputed(p, "du_1", amount=750, ends="lost")
        ),
        Status.CHARGED_BACK,
    ),
    "dispute in a state of tomorrow": (
        lambda p: (
            [
                *stripe.paid(p),
                stripe.event(p, "charge.dispute.updated", of="du_1", status="a_state_of_tomorrow"),
            ]
        ),
        Status.DISPUTED,
    ),
    "dispute prevented by paying back": (
        lambda p: (
            [
                *stripe.paid(p),
                stripe.event(
                    p,
                    "charge.dispute.created",
                    of="du_1",
                    status="prevented",
                    payment_method_details={"card": {"case_type": "resolution"}},
                ),
            ]
        ),
        Status.CHARGED_BACK,
    ),
    "refund under way": (
        lambda p: [*stripe.paid(p), stripe.event(p, "refund.created", of="re_1", status="pending")],
        Status.SUCCEEDED,
    ),
    "refund that waits for the customer": (
        lambda p: (
            stripe.paid(p)
            + stripe.refunded(p, "re_1", amount=1250, total=1250)[:2]
            + [stripe.event(p, "refund.updated", of="re_1", status="requires_action")]
        ),
        Status.SUCCEEDED,
    ),
    "refund failed, as an old endpoint says it": (
        lambda p: (
            stripe.paid(p)
            + stripe.refunded(p, "re_1", amount=1250, total=1250)
            + [stripe.event(p, "charge.refund.updated", of="re_1", status="failed")]
        ),
        Status.SUCCEEDED,
    ),
    "declined, then a voucher": (
        lambda p: (
            [
                *stripe.declined(p),
                stripe.event(p, "payment_intent.requires_action", of="ch_voucher"),
                *stripe.paid_later(p)[1:],
            ]
        ),
        Status.PROCESSING,
    ),
    "declined, then asked to confirm": (
        lambda p: [*stripe.declined(p), stripe.event(p, "payment_intent.requires_action")],
        Status.PENDING,
    ),
    "nothing to pay": (
        lambda p: [
            stripe.event(
                p, "checkout.session.completed", payment_status="no_payment_required", payment_intent=None
            )
        ],
        Status.SUCCEEDED,
    ),
    "recovered, and its money awaited": (
        lambda p: stripe.expired(p) + stripe.recovered(p, "again"),
        Status.PROCESSING,
    ),
    "paid by card, and looked into": (
        lambda p: (
            stripe.charged(p)
            + stripe.paid(p)
            + [
                stripe.event(p, "radar.early_fraud_warning.created"),
                stripe.event(p, "review.opened"),
                stripe.event(p, "review.closed", open=False, closed_reason="approved"),
            ]
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
    "one of two intents canceled": (
        lambda p: [
            *stripe.paid_later(p),
            stripe.event(p, "payment_intent.canceled", id=f"pi_other_{p.pk.hex}"),
        ],
        Status.PROCESSING,
    ),
    "intent canceled": (lambda p: [stripe.event(p, "payment_intent.canceled")], Status.CANCELED),
}

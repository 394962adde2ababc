"""What a user is told of a payment: the frames of the client guide, written to the user's feed."""

from datetime import timedelta

from django.utils import timezone

from notifications.feed import notify
from payments.models import Payment
from payments.status import Status

STATUS_KEPT_FOR = timedelta(days=7)
"""How long a status is news to a client that was away."""


def announce_link(payment: Payment) -> int:
    """Hand the user the Checkout link; return the notification's number. Call it within a transaction."""
    return notify(
        user_id=payment.user_id,
        frame={
            "type": "payment_url",
            "rideId": payment.ride_id,
            "paymentUrl": payment.payment_url,
            "status": Status.PENDING.value,
        },
        collapse_key=f"payment:{payment.pk}",
        expires_at=payment.expires_at,
    )


def announce_status(payment: Payment, *, status: str) -> int:
    """Tell the user a new status; return the notification's number. Call it within a transaction."""
    return notify(
        user_id=payment.user_id,
        frame={
            "type": "payment_status_update",
            "rideId": payment.ride_id,
            "status": status,
            "stripeSessionId": payment.session_id,
        },
        collapse_key=f"payment:{payment.pk}",
        expires_at=timezone.now() + STATUS_KEPT_FOR,
    )

"""Notify users of their payments: write the frames of the client guide to their feeds."""

from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from notifications.feed import NewNotification, Prepared, prepare
from payments.models import Payment
from payments.status import Status
from payments.writes import Change

STATUS_KEPT_FOR = timedelta(days=7)
"""How long a status is news to a client that was away."""


def link(payment: Payment) -> Prepared:
    """Return the notification of a payment's Checkout link."""
    frame = {
        "type": "payment_url",
        "rideId": payment.ride_id,
        "paymentUrl": payment.payment_url,
        "status": Status.PENDING.value,
    }
    # A link that can no longer be paid is no news, so it expires with it.
    return prepare([NewNotification(payment.user_id, frame, _collapse_key(payment), payment.expires_at)])


def statuses(changes: Sequence[Change]) -> Prepared:
    """Return the notifications of new statuses, in this order."""
    expires_at = timezone.now() + STATUS_KEPT_FOR
    return prepare(
        [
            NewNotification(
                user_id=change.payment.user_id,
                frame={
                    "type": "payment_status_update",
                    "rideId": change.payment.ride_id,
                    "status": change.after,
                    "stripeSessionId": change.payment.session_id,
                },
                collapse_key=_collapse_key(change.payment),
                expires_at=expires_at,
            )
            for change in changes
        ]
    )


def _collapse_key(payment: Payment) -> str:
    # A plain client that was away is sent the newest notification of a payment alone.
    return f"payment:{payment.pk}"

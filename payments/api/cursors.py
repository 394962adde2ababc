"""Write and read the cursor of a page: where the next page of payments begins."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ninja.errors import HttpError

from payments.models import Payment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write(payment: Payment) -> str:
    """Return the cursor of the page that begins after this payment."""
    # Whole microseconds, as the database keeps them. A float would be rounded, and repeat or skip a payment.
    place = f"{(payment.created_at - _EPOCH) // timedelta(microseconds=1)} {payment.pk}"
    return base64.urlsafe_b64encode(place.encode()).decode()


def read(cursor: str) -> tuple[datetime, UUID]:
    """Return when the payment before the page was created (UTC), and its id. Raises HttpError."""
    try:
        microseconds, payment_id = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
        return _EPOCH + timedelta(microseconds=int(microseconds)), UUID(payment_id)
    except (ValueError, OverflowError):
        raise HttpError(422, "Send `cursor` as the `nextCursor` of the page before.") from None

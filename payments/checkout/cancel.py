"""Cancel a payment, so that its link can no longer be paid, or give up one that never got a link."""

from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from payments import record
from payments.models import Payment, StatusChange
from payments.status import Status, is_open
from payments.stripe import gateway


class NotCancelable(Exception):
    """The payment is paid or has ended: nothing is left to cancel."""


def cancel(*, payment_id: Any, cause: StatusChange.Cause, api_key: str = "") -> Payment:
    """End an open payment and its session. A payment that is canceled already stays so.

    Raises Payment.DoesNotExist, NotCancelable, StripeError.
    """
    with transaction.atomic():
        payment = record.lock(payment_id)
        if payment.status == Status.CANCELED:
            return payment
        if not is_open(payment.facts):
            raise NotCancelable(f"The payment is {payment.status}: only an open payment can be canceled.")
        now = int(datetime.now(tz=UTC).timestamp())
        payment = record.learn(
            payment_id,
            # On record before Stripe is asked. If the process dies in between, `fetch_webhooks` completes the
            # cancel.
            {"cancel_requested": now} if payment.session_id else {"canceled": now},
            cause=cause,
            api_key=api_key,
        )
    if payment.session_id is None:
        return payment
    _expire(payment)
    # The event of it will say the same. The caller need not wait for that.
    payment = record.learn(payment_id, {"expired": now}, cause=cause, api_key=api_key)
    # Its event may have come before Stripe's answer, and have changed the status.
    payment.changes.filter(after=Status.CANCELED, api_key="").update(api_key=api_key)
    return payment


def _expire(payment: Payment) -> None:
    """End the session at Stripe, which refuses if it is paid, or expired by an earlier try."""
    session_id = payment.session_id or ""
    try:
        gateway.expire_session(session_id=session_id)
    except gateway.StripeRefused as error:
        # Stripe refuses both, and does not say which of them it is.
        if gateway.retrieve_session(session_id=session_id)["status"] != "expired":
            raise NotCancelable(f"Stripe no longer cancels it: {error}") from error


def give_up(payment: Payment, *, reason: str, cause: StatusChange.Cause) -> bool:
    """Cancel a payment that never got a session, and free its ride. Return whether it still had none."""
    with transaction.atomic():
        payment = record.lock(payment.pk)
        if payment.session_id is not None or not is_open(payment.facts):
            return False
        if not payment.stripe_error:
            payment.stripe_error = reason
            payment.save(update_fields=["stripe_error"])
        now = int(datetime.now(tz=UTC).timestamp())
        record.learn(payment.pk, {"canceled": now}, cause=cause)
    return True

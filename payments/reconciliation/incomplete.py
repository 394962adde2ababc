"""Complete or give up payments and refunds whose call to Stripe was interrupted.

What finishes one raises StripeUnavailable, or StripeKeyRefused.
"""

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from payments.checkout import cancel, create, refund
from payments.models import Payment, RefundRequest, StatusChange
from payments.reconciliation.each import End, Result, name
from payments.status import Status
from payments.stripe import gateway

LONGEST_CALL = timedelta(minutes=1)
"""Longer than a call to Stripe takes: an older request was interrupted."""
LINK_EXPECTED = timedelta(hours=23)
"""The oldest payment whose link is still sent: Stripe keeps the idempotency key, and the session, for 24 hours."""

_CAUSE = StatusChange.Cause.RECONCILIATION


def payments() -> QuerySet[Payment]:
    """Return payments that hold their ride without a session, and whose call to Stripe is over."""
    # The status is there for the index. Whatever holds its ride without a session is pending.
    return Payment.objects.filter(
        status=Status.PENDING,
        session_id=None,
        ride_claim__isnull=False,
        created_at__lt=timezone.now() - LONGEST_CALL,
    ).order_by("created_at")


def refund_requests() -> QuerySet[RefundRequest]:
    """Return unanswered refunds whose call to Stripe is over."""
    unanswered = RefundRequest.objects.filter(refund_id="", abandoned_at=None)
    due = unanswered.filter(created_at__lt=timezone.now() - LONGEST_CALL)
    return due.select_related("payment").order_by("created_at")


def finish_payment(payment: Payment, *, dry_run: bool) -> Result:
    """Get the payment's session and send its link; give it up if Stripe refuses, or if it is too late."""
    if payment.created_at < timezone.now() - LINK_EXPECTED:
        return _give_up(payment, "Stripe made no session while the user expected the link.", dry_run=dry_run)
    if not dry_run:
        try:
            create.complete(payment)
        except gateway.StripeRefused as error:
            return _give_up(payment, f"Stripe refuses it: {error}", dry_run=dry_run)
    return Result(end=End.COMPLETED, text=f"{name(payment)}: completed, its link is handed over")


def _give_up(payment: Payment, reason: str, *, dry_run: bool) -> Result:
    # `give_up` looks again under the lock: the backend may have completed it meanwhile.
    if dry_run or cancel.give_up(payment, reason=reason, cause=_CAUSE):
        return Result(end=End.GIVEN_UP, text=f"{name(payment)}: given up. {reason}")
    return Result(end=End.UNCHANGED)


def finish_refund(request: RefundRequest, *, dry_run: bool) -> Result:
    """Find the refund at Stripe, or make it; give it up if Stripe refuses, or if it is too late."""
    # Stripe may have made it although it answered 500, and the same key would repeat that answer.
    made = refund.find(request)
    if made is None and not refund.is_key_kept(request):
        if dry_run or refund.give_up(request):
            return Result(end=End.GIVEN_UP, text=f"{name(request)}: given up, Stripe has made none")
        return Result(end=End.UNCHANGED)
    if not dry_run:
        try:
            if made:
                refund.settle(request, made, cause=_CAUSE)
            else:
                refund.complete(request, cause=_CAUSE)
        except gateway.StripeRefused as error:
            return Result(end=End.GIVEN_UP, text=f"{name(request)}: given up, Stripe refuses it: {error}")
    return Result(end=End.COMPLETED, text=f"{name(request)}: {'found at Stripe' if made else 'made'}")

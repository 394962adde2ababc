"""Payments and refunds whose call to Stripe was cut short: each is completed or given up, none is left hanging."""

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from payments.checkout import cancel, create, refund
from payments.models import Payment, RefundRequest, StatusChange
from payments.reconciliation.each import End, Result, name
from payments.status import Status
from payments.stripe import gateway

UNDER_WAY = timedelta(minutes=1)
"""Longer than a call to Stripe takes: what is older was cut short."""
LINK_AWAITED = timedelta(hours=23)
"""How old a payment may be whose link is still handed over: the session of a first try, which the same key finds,
ends after 24 hours."""

_CAUSE = StatusChange.Cause.RECONCILIATION


def payments() -> QuerySet[Payment]:
    """Return payments that hold their ride without a session, and that nobody asks Stripe for now."""
    return Payment.objects.filter(
        status=Status.PENDING,
        session_id=None,
        ride_claim__isnull=False,
        created_at__lt=timezone.now() - UNDER_WAY,
    ).order_by("created_at")


def refund_requests() -> QuerySet[RefundRequest]:
    """Return refunds that were not answered, and that nobody asks Stripe for now."""
    unanswered = RefundRequest.objects.filter(refund_id="", given_up_at=None)
    due = unanswered.filter(created_at__lt=timezone.now() - UNDER_WAY)
    return due.select_related("payment").order_by("created_at")


def finish_payment(payment: Payment, *, dry_run: bool) -> Result:
    """Get the payment its session and hand over the link; give it up where that is refused, or comes too late."""
    if payment.created_at < timezone.now() - LINK_AWAITED:
        return _give_up(payment, "Stripe made no session while the link was awaited.", dry_run=dry_run)
    if not dry_run:
        try:
            create.complete(payment)
        except gateway.StripeRefused as error:
            if error.is_about_key:
                raise
            return _give_up(payment, f"Stripe refuses it: {error}", dry_run=dry_run)
    return Result(end=End.COMPLETED, text=f"{name(payment)}: completed, its link is handed over")


def _give_up(payment: Payment, reason: str, *, dry_run: bool) -> Result:
    if dry_run or cancel.abandon(payment, reason=reason, cause=_CAUSE):
        return Result(end=End.GIVEN_UP, text=f"{name(payment)}: given up. {reason}")
    return Result(end=End.UNCHANGED)


def finish_refund(request: RefundRequest, *, dry_run: bool) -> Result:
    """Find the refund at Stripe, or make it; give it up where that is refused, or comes too late.

    It is looked for first: where Stripe answered with an error of its own it may have been made all the same, and
    the key would only repeat the error.
    """
    made = refund.find(request)
    if made is None and not refund.is_key_kept(request):
        if dry_run or refund.abandon(request):
            return Result(end=End.GIVEN_UP, text=f"{name(request)}: given up, Stripe has made none")
        return Result(end=End.UNCHANGED)
    if not dry_run:
        try:
            if made:
                refund.settle(request, made, cause=_CAUSE)
            else:
                refund.complete(request, cause=_CAUSE)
        except gateway.StripeRefused as error:
            if error.is_about_key:
                raise
            return Result(end=End.GIVEN_UP, text=f"{name(request)}: given up, Stripe refuses it: {error}")
    return Result(end=End.COMPLETED, text=f"{name(request)}: {'found at Stripe' if made else 'made'}")

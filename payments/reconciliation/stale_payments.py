"""Compare payments that have been open for long with Stripe."""

from datetime import datetime

from django.db.models import Q, QuerySet
from django.utils import timezone

from payments import record
from payments.checkout import cancel
from payments.facts import Facts
from payments.models import Intent, Payment, StatusChange
from payments.reconciliation.each import End, Result, name
from payments.status import Status
from payments.stripe import events, gateway
from payments.webhooks import apply

_CAUSE = StatusChange.Cause.RECONCILIATION
_UNDECIDED = (Status.PENDING, Status.PROCESSING, Status.FAILED)


def open_payments(*, checked_before: datetime) -> QuerySet[Payment]:
    """Return open payments that were created before this time (UTC), and not checked since."""
    return (
        undecided(checked_before=checked_before).filter(created_at__lt=checked_before).order_by("created_at")
    )


def undecided(*, checked_before: datetime) -> QuerySet[Payment]:
    """Return payments that Stripe may have finished, and that were not checked since this time (UTC)."""
    return Payment.objects.filter(
        Q(checked_at=None) | Q(checked_at__lt=checked_before),
        status__in=_UNDECIDED,
        ride_claim__isnull=False,  # without it, they have ended for good
        session_id__isnull=False,
    )


def compare(payment: Payment, *, dry_run: bool) -> Result:
    """Retrieve the payment's session and apply its state, as events would have.

    Complete an interrupted cancel. Raises StripeError.
    """
    before = payment.status
    if not dry_run:  # before the call, so that a payment that fails does not come first each time
        Payment.objects.filter(pk=payment.pk).update(checked_at=timezone.now())
    facts, intent_id, is_open = _retrieve(payment)
    if is_open and "cancel_requested" in payment.facts:
        after = Status.CANCELED if dry_run else _cancel(payment)
    elif dry_run:
        record.work_out([record.Update(payment=payment, facts=facts)], cause=_CAUSE)
        after = payment.status
    else:
        # Locked only now: no lock is held while Stripe is asked.
        payment = record.learn(payment.pk, facts, cause=_CAUSE, payment_intent_id=intent_id)
        # Its intent may be known by this answer alone.
        apply.apply_parked(payment, cause=_CAUSE)
        after = payment.status
    if after == before:
        return Result(end=End.UNCHANGED)
    return Result(end=End.CHANGED, text=f"{name(payment)}: {before} → {after} (as Stripe has it)")


def _retrieve(payment: Payment) -> tuple[Facts, str | None, bool]:
    """Return the session's facts, its payment intent, and whether it is still open.

    Stripe does not know a session that was made with another key: it counts as expired once its time is up. Where the
    intent belongs to another payment already, the payment is flagged, and nothing else.
    """
    now = timezone.now()
    try:
        session = gateway.retrieve_session(session_id=payment.session_id or "")
    except gateway.StripeRefused as error:
        is_over = payment.expires_at is not None and payment.expires_at < now
        if error.code != "resource_missing" or not is_over:
            raise
        return {"expired": int(now.timestamp())}, None, False
    intent_id = session["payment_intent"]["id"] if session["payment_intent"] else None
    is_open = session["status"] == "open"
    # An intent stays with the payment for which it was first heard of
    # (docs/decisions/0026-one-gate-for-events.md).
    others = Intent.objects.filter(intent_id=intent_id, payment__isnull=False).exclude(payment=payment)
    if others.exists():
        return {"rewritten": int(now.timestamp())}, None, is_open
    return events.session_facts(session, int(now.timestamp())), intent_id, is_open


def _cancel(payment: Payment) -> str:
    """Complete a cancel that was interrupted before it reached Stripe; return the resulting status."""
    try:
        return cancel.cancel(payment_id=payment.pk, cause=_CAUSE).status
    except cancel.NotCancelable:  # it was paid a moment ago: its events will say so
        return payment.status

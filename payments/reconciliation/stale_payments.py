"""Payments that are open for long: Stripe is asked how they are."""

from datetime import datetime

from django.db import transaction
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


def open_payments(*, asked_before: datetime) -> QuerySet[Payment]:
    """Return payments that are open, were made before this moment (UTC), and not asked about since."""
    return undecided(asked_before=asked_before).filter(created_at__lt=asked_before).order_by("created_at")


def undecided(*, asked_before: datetime) -> QuerySet[Payment]:
    """Return payments that Stripe may have finished, and was not asked about since this moment (UTC)."""
    return Payment.objects.filter(
        Q(checked_at=None) | Q(checked_at__lt=asked_before),
        status__in=_UNDECIDED,
        ride_claim__isnull=False,  # without it they have ended for good
        session_id__isnull=False,
    )


def compare(payment: Payment, *, dry_run: bool) -> Result:
    """Ask Stripe how the payment's session is, and record what follows from that, as events would have.

    A payment that is being canceled, and was left so, is canceled. Raises StripeRefused or StripeUnavailable.
    """
    before = payment.status
    if not dry_run:  # first, so that one that fails does not come first each time
        Payment.objects.filter(pk=payment.pk).update(checked_at=timezone.now())
    facts, intent_id, is_open = _ask(payment)
    if is_open and "cancel_requested" in payment.facts:
        after = Status.CANCELED if dry_run else _cancel(payment)
    elif dry_run:
        record.work_out([_finding(payment, facts, intent_id)], cause=_CAUSE)
        after = payment.status
    else:
        after = _record(payment, facts, intent_id)
    if after == before:
        return Result(end=End.UNCHANGED)
    return Result(end=End.CHANGED, text=f"{name(payment)}: {before} → {after} (as Stripe has it)")


def _ask(payment: Payment) -> tuple[Facts, str | None, bool]:
    """Return what the session says, its payment intent, and whether it can still be paid.

    A session that Stripe does not know was made with another key. It can be paid no more once its time is up.
    """
    now = timezone.now()
    try:
        session = gateway.retrieve_session(session_id=payment.session_id or "")
    except gateway.StripeRefused as error:
        is_over = payment.expires_at is not None and payment.expires_at < now
        if error.code != "resource_missing" or not is_over:
            raise
        return {"expired": int(now.timestamp())}, None, False
    intent = session["payment_intent"]
    facts = events.session_facts(session, int(now.timestamp()))
    return facts, intent["id"] if intent else None, session["status"] == "open"


def _finding(payment: Payment, facts: Facts, intent_id: str | None) -> record.Finding:
    """Return what was found; nothing but a flag where the intent was found to be another payment's before."""
    if Intent.objects.filter(intent_id=intent_id, payment__isnull=False).exclude(payment=payment).exists():
        return record.Finding(payment=payment, facts={"rewritten": int(timezone.now().timestamp())})
    return record.Finding(
        payment=payment,
        facts=facts,
        payment_intent_id=intent_id,
        is_new_intent=intent_id is not None and intent_id != payment.payment_intent_id,
    )


def _record(payment: Payment, facts: Facts, intent_id: str | None) -> str:
    """Write what was found; return the status that follows."""
    with transaction.atomic():
        payment = Payment.objects.select_for_update().get(pk=payment.pk)
        record.apply_facts([_finding(payment, facts, intent_id)], cause=_CAUSE)
    apply.apply_parked(payment, cause=_CAUSE)
    return payment.status


def _cancel(payment: Payment) -> str:
    """End what a cancel began that was cut short before Stripe heard of it; return the status that follows."""
    try:
        return cancel.cancel(payment_id=payment.pk, cause=_CAUSE).status
    except cancel.NotCancelable:  # it was paid a moment ago, as its events will tell
        return payment.status

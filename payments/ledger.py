"""The one place where a payment changes: new facts go in; status, history and notifications follow."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from payments.announcements import announce_status
from payments.facts import Facts, merge
from payments.models import Payment, StatusChange, WebhookEvent
from payments.status import derive, holds_ride

_WRITTEN = ["facts", "status", "ride_claim", "session_id", "payment_intent_id", "updated_at"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something learnt about a payment, from an event or else from an answer of Stripe's."""

    payment: Payment
    facts: Facts
    event: WebhookEvent | None = None
    session_id: str | None = None
    payment_intent_id: str | None = None


def record(findings: Sequence[Finding], *, cause: StatusChange.Cause) -> list[StatusChange]:
    """Write what was found, in the order given, and tell the users of every change of a status.

    The caller has locked the payments and is in a transaction. A payment of which nothing new was found is not
    written. Statements are per table, not per finding; only notifications are numbered one by one, in the order
    of their users, so that two transactions never wait for each other's feeds.
    """
    learnt: dict[object, Payment] = {}
    changes: list[StatusChange] = []
    for finding in findings:
        before = finding.payment.status
        if _absorb(finding):
            learnt[finding.payment.pk] = finding.payment
        if finding.payment.status != before:
            changes.append(_change(finding, before=before, cause=cause))
    Payment.objects.bulk_update(learnt.values(), _WRITTEN, batch_size=500)
    for change in sorted(changes, key=lambda change: change.payment.user_id):
        if change.payment.session_id:  # else the user never heard of the payment
            change.seq = announce_status(change.payment, status=change.after)
    return StatusChange.objects.bulk_create(changes)


def _absorb(finding: Finding) -> bool:
    """Add a finding to its payment in memory; tell whether there was anything new in it."""
    payment = finding.payment
    known = (payment.facts, payment.session_id, payment.payment_intent_id)
    payment.facts = merge(payment.facts, finding.facts)
    payment.session_id = payment.session_id or finding.session_id
    payment.payment_intent_id = payment.payment_intent_id or finding.payment_intent_id
    if known == (payment.facts, payment.session_id, payment.payment_intent_id):
        return False
    payment.status = derive(payment.facts)
    payment.updated_at = timezone.now()
    if not holds_ride(payment.facts):
        payment.ride_claim = None
    return True


def _change(finding: Finding, *, before: str, cause: StatusChange.Cause) -> StatusChange:
    return StatusChange(
        payment=finding.payment,
        before=before,
        after=finding.payment.status,
        cause=cause,
        event=finding.event,
    )

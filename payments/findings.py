"""The second stage of a webhook: whose events these are, what becomes of each, and what they add."""

import uuid
from collections.abc import Iterable, Sequence

from django.db.models import Q
from django.utils import timezone

from bulk import statements
from payments import events, gateway
from payments.ledger import Finding
from payments.models import Payment, WebhookEvent

State = WebhookEvent.State
Payments = dict[uuid.UUID, Payment]

_EXAMINED = ("ride_id", "user_id", "status", "facts", "ride_claim", "session_id", "payment_intent_id")


def named_by(rows: Iterable[WebhookEvent]) -> set[uuid.UUID]:
    """Return the keys of the payments that events name."""
    references = [events.reference(row.content) for row in rows if events.is_handled(row.type)]
    keys = {reference.payment_id for reference in references if reference.payment_id}
    others = [reference for reference in references if not reference.payment_id]
    if others:
        named = Q(session_id__in={r.session_id for r in others if r.session_id}) | Q(
            payment_intent_id__in={r.payment_intent_id for r in others if r.payment_intent_id}
        )
        keys |= set(Payment.objects.filter(named).values_list("pk", flat=True))
    return keys


def lock_named_by(rows: Iterable[WebhookEvent]) -> Payments:
    """Return the payments that events name, locked until the commit, and in the order of their keys."""
    locked = statements.lock(Payment, named_by(rows), fields=_EXAMINED)
    return {payment.pk: payment for payment in locked}


def examine(rows: Sequence[WebhookEvent], payments: Payments) -> list[Finding]:
    """Set what becomes of each event; return what they add."""
    findings = (_examine(row, payments) for row in rows)
    return [finding for finding in findings if finding is not None]


def _find(reference: events.Reference, payments: Payments) -> Payment | None:
    if reference.payment_id is not None:
        return payments.get(reference.payment_id)
    for payment in payments.values():
        if (reference.session_id is not None and payment.session_id == reference.session_id) or (
            reference.payment_intent_id is not None
            and payment.payment_intent_id == reference.payment_intent_id
        ):
            return payment
    return None


def _examine(row: WebhookEvent, payments: Payments) -> Finding | None:
    """Set what becomes of the event; return what it adds, if it adds anything."""
    row.attempts += 1
    row.state, row.error, finding = _judge(row, payments)
    if finding is not None:
        row.applied_at = row.applied_at or timezone.now()
    return finding


def _judge(row: WebhookEvent, payments: Payments) -> tuple[State, str, Finding | None]:
    """Return what becomes of the event, why where it adds nothing, and what it adds."""
    if not events.is_handled(row.type):
        return State.IGNORED, "This type of event says nothing about a payment.", None
    if row.livemode != gateway.livemode():
        return State.IGNORED, f"Its livemode is {row.livemode}; that of the configured key is not.", None
    reference = events.reference(row.content)
    payment = _find(reference, payments)
    if payment is None and (reference.names_us or reference.payment_intent_id is None):
        return State.IGNORED, "It names no payment of this service: another integration made it.", None
    row.payment, row.payment_intent_id = payment, reference.payment_intent_id or ""
    session_id = reference.session_id or (payment.session_id if payment else None)
    if payment is None or session_id is None:
        return State.PARKED, "Its payment, or that payment's session, is not known yet.", None
    facts = events.facts(row.content)
    if payment.session_id not in {None, session_id} and "paid" not in facts:
        return State.IGNORED, "It is of another Checkout session than the one the user was handed.", None
    finding = Finding(
        payment=payment,
        facts=facts,
        event=row,
        session_id=session_id,
        payment_intent_id=reference.payment_intent_id,
    )
    return State.APPLIED, "", finding

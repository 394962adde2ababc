"""The second stage of a webhook: whose events these are, what becomes of each, and what they add."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from payments import events, gateway
from payments.ledger import Finding
from payments.models import Payment, WebhookEvent

State = WebhookEvent.State


def named_by(rows: Iterable[WebhookEvent]) -> QuerySet[Payment]:
    """Return the payments that events name, in the order of their keys."""
    bodies = [json.loads(row.body) for row in rows]
    references = [events.reference(body) for body in bodies if events.is_handled(body["type"])]
    named = (
        Q(pk__in={r.payment_id for r in references if r.payment_id})
        | Q(session_id__in={r.session_id for r in references if r.session_id})
        | Q(payment_intent_id__in={r.payment_intent_id for r in references if r.payment_intent_id})
    )
    return Payment.objects.filter(named).order_by("pk")


def examine(rows: Sequence[WebhookEvent], payments: list[Payment]) -> list[Finding]:
    """Set what becomes of each event; return what they add."""
    findings = (_examine(row, json.loads(row.body), payments) for row in rows)
    return [finding for finding in findings if finding is not None]


def _find(reference: events.Reference, payments: list[Payment]) -> Payment | None:
    for payment in payments:
        if reference.payment_id is not None:
            is_named = payment.pk == reference.payment_id
        else:
            is_named = (reference.session_id is not None and payment.session_id == reference.session_id) or (
                reference.payment_intent_id is not None
                and payment.payment_intent_id == reference.payment_intent_id
            )
        if is_named:
            return payment
    return None


def _examine(row: WebhookEvent, body: dict[str, Any], payments: list[Payment]) -> Finding | None:
    """Set what becomes of the event; return what it adds, if it adds anything."""
    row.attempts += 1
    row.state, row.error, finding = _judge(row, body, payments)
    if finding is not None:
        row.applied_at = row.applied_at or timezone.now()
    return finding


def _judge(
    row: WebhookEvent, body: dict[str, Any], payments: list[Payment]
) -> tuple[State, str, Finding | None]:
    """Return what becomes of the event, why where it adds nothing, and what it adds."""
    if not events.is_handled(row.type):
        return State.IGNORED, "This type of event says nothing about a payment.", None
    if row.livemode != gateway.livemode():
        return State.IGNORED, f"Its livemode is {row.livemode}; that of the configured key is not.", None
    reference = events.reference(body)
    payment = _find(reference, payments)
    if payment is None and (reference.names_us or reference.payment_intent_id is None):
        return State.IGNORED, "It names no payment of this service: another integration made it.", None
    row.payment, row.payment_intent_id = payment, reference.payment_intent_id or ""
    session_id = reference.session_id or (payment.session_id if payment else None)
    if payment is None or session_id is None:
        return State.PARKED, "Its payment, or that payment's session, is not known yet.", None
    facts = events.facts(body)
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

"""Stripe's events: verified, stored once, applied. Replays, staff and late finds enter here as well."""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from pydantic import BaseModel, Field, ValidationError

from payments import events, gateway, ledger
from payments.metrics import EVENTS
from payments.models import Payment, StatusChange, WebhookEvent

logger = logging.getLogger(__name__)

State = WebhookEvent.State
Cause = StatusChange.Cause


class MalformedEvent(ValueError):
    """Signed, but no event of the kind this service takes; the message says what to send instead."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an event, and which statuses it changed."""

    event_id: str
    state: str
    error: str = ""
    changes: list[StatusChange] = field(default_factory=list)


def receive(*, body: bytes, signature: str) -> Outcome:
    """Verify a webhook's body, store its event once, and apply it.

    Raises gateway.InvalidSignature or MalformedEvent, with nothing stored. An event that could not be applied
    comes back with the state `failed`: it is stored, and delivering it again tries again.
    """
    gateway.verify(body=body, signature=signature)
    event = _store(body)
    if event.state in {State.APPLIED, State.IGNORED}:
        outcome = Outcome(event_id=event.event_id, state=event.state, error=event.error)
        _apply_what_waited_for([event], cause=Cause.EVENT)
    else:
        outcome = apply([event.event_id])[0]
    EVENTS.labels(state=outcome.state).inc()
    return outcome


def apply(event_ids: Sequence[str], *, cause: Cause = Cause.EVENT) -> list[Outcome]:
    """Apply stored events in one transaction; where that fails, one by one, so that a bad one fails alone.

    What was applied before adds nothing new. Returns an outcome for each event, then one for each parked event
    that could be applied now because of them.
    """
    try:
        rows, outcomes = _apply_together(event_ids, cause=cause)
    except Exception as error:
        if len(event_ids) > 1:
            return [outcome for event_id in event_ids for outcome in apply([event_id], cause=cause)]
        logger.exception("Event %s could not be applied", *event_ids)
        return [_fail(event_ids[0], error)]
    return outcomes + _apply_what_waited_for(rows, cause=cause)


def apply_parked(payments: QuerySet[Payment], *, cause: Cause = Cause.EVENT) -> list[Outcome]:
    """Apply the events that had to wait until one of these payments, and its session, was known."""
    known = payments.filter(session_id__isnull=False)
    intents = known.filter(payment_intent_id__isnull=False).values("payment_intent_id")
    parked = WebhookEvent.objects.filter(state=State.PARKED).filter(
        Q(payment__in=known) | Q(payment_intent_id__in=intents)
    )
    event_ids = list(parked.order_by("pk").values_list("event_id", flat=True))
    return apply(event_ids, cause=cause) if event_ids else []


class _Data(BaseModel):
    object: dict[str, Any]


class _Envelope(BaseModel):
    """What every snapshot event has (https://docs.stripe.com/api/events/object)."""

    object: Literal["event"]
    id: Annotated[str, Field(min_length=1, max_length=255)]
    type: Annotated[str, Field(min_length=1, max_length=100)]
    created: Annotated[int, Field(ge=0, lt=2**32)]
    livemode: bool
    api_version: Annotated[str, Field(max_length=50)] | None = None
    data: _Data


def _store(body: bytes) -> WebhookEvent:
    """Return the event's row: a new one, or that of an earlier delivery."""
    try:
        envelope = _Envelope.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        message = f"Send one of Stripe's snapshot events as it is ({where}: {first['msg']})."
        raise MalformedEvent(message) from None
    event, is_new = WebhookEvent.objects.get_or_create(
        event_id=envelope.id,
        defaults={
            "type": envelope.type,
            "body": body.decode(),
            "api_version": envelope.api_version or "",
            "livemode": envelope.livemode,
            "object_id": str(envelope.data.object.get("id") or "")[:255],
            "created_at": datetime.fromtimestamp(envelope.created, tz=UTC),
        },
    )
    if not is_new:
        WebhookEvent.objects.filter(pk=event.pk).update(deliveries=F("deliveries") + 1)
    return event


def _apply_together(event_ids: Sequence[str], *, cause: Cause) -> tuple[list[WebhookEvent], list[Outcome]]:
    """Lock events, then payments, then feeds, each in one fixed order; write each table once."""
    with transaction.atomic():
        rows = list(WebhookEvent.objects.select_for_update().filter(event_id__in=event_ids).order_by("pk"))
        bodies = [json.loads(row.body) for row in rows]
        payments = _lock_payments(bodies)
        findings = [f for row, body in zip(rows, bodies, strict=True) if (f := _examine(row, body, payments))]
        changes = ledger.record(findings, cause=cause)
        WebhookEvent.objects.bulk_update(
            rows, ["state", "attempts", "applied_at", "error", "payment", "payment_intent_id"], batch_size=500
        )
    outcomes = [
        Outcome(
            event_id=row.event_id,
            state=row.state,
            error=row.error,
            changes=[change for change in changes if change.event == row],
        )
        for row in rows
    ]
    return rows, outcomes


def _lock_payments(bodies: Iterable[dict[str, Any]]) -> list[Payment]:
    """Return the payments that events name, locked in the order of their keys."""
    references = [events.reference(body) for body in bodies if events.is_handled(body["type"])]
    named = (
        Q(pk__in={r.payment_id for r in references if r.payment_id})
        | Q(session_id__in={r.session_id for r in references if r.session_id})
        | Q(payment_intent_id__in={r.payment_intent_id for r in references if r.payment_intent_id})
    )
    return list(Payment.objects.select_for_update().filter(named).order_by("pk"))


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


def _examine(row: WebhookEvent, body: dict[str, Any], payments: list[Payment]) -> ledger.Finding | None:
    """Set what becomes of the event; return what it adds, if it adds anything."""
    row.attempts += 1
    row.state, row.error, finding = _judge(row, body, payments)
    if finding is not None:
        row.applied_at = timezone.now()
    return finding


def _judge(
    row: WebhookEvent, body: dict[str, Any], payments: list[Payment]
) -> tuple[State, str, ledger.Finding | None]:
    """Return what becomes of the event, why where it adds nothing, and what it adds."""
    if not events.is_handled(row.type):
        return State.IGNORED, "This type of event says nothing about a payment.", None
    if row.livemode != gateway.livemode():
        return State.IGNORED, f"Its livemode is {row.livemode}; that of the configured key is not.", None
    reference = events.reference(body)
    payment = _find(reference, payments)
    if payment is None and reference.names_us:
        return State.IGNORED, "It names no payment of this service: another integration made it.", None
    row.payment, row.payment_intent_id = payment, reference.payment_intent_id or ""
    session_id = reference.session_id or (payment.session_id if payment else None)
    if payment is None or session_id is None:
        return State.PARKED, "Its payment, or that payment's session, is not known yet.", None
    facts = events.facts(body)
    if payment.session_id not in {None, session_id} and "paid" not in facts:
        return State.IGNORED, "It is of another Checkout session than the one the user was handed.", None
    finding = ledger.Finding(
        payment=payment,
        facts=facts,
        event=row,
        session_id=session_id,
        payment_intent_id=reference.payment_intent_id,
    )
    return State.APPLIED, "", finding


def _apply_what_waited_for(rows: Sequence[WebhookEvent], *, cause: Cause) -> list[Outcome]:
    """Apply parked events whose payment is known by now.

    It looks after the commit of what may have made the payment known, and also after the commit of what may
    have parked an event meanwhile: whichever of the two commits last finds the other.
    """
    intents = {row.payment_intent_id for row in rows if row.payment_intent_id}
    named = Q(pk__in={row.payment_id for row in rows if row.payment_id}) | Q(payment_intent_id__in=intents)
    return apply_parked(Payment.objects.filter(named), cause=cause)


def _fail(event_id: str, error: Exception) -> Outcome:
    """Keep the event as failed, with its error."""
    message = f"{type(error).__name__}: {error}"[:2000]
    WebhookEvent.objects.filter(event_id=event_id).update(
        state=State.FAILED, error=message, attempts=F("attempts") + 1
    )
    return Outcome(event_id=event_id, state=State.FAILED, error=message)

"""Stripe's events: verified, stored once, applied. Replays, staff and late finds enter here as well."""

import json
import logging
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from payments import gateway, ledger
from payments.findings import examine, named_by
from payments.intake import store
from payments.metrics import EVENTS
from payments.models import Payment, RefundRequest, StatusChange, WebhookEvent

logger = logging.getLogger(__name__)

State = WebhookEvent.State
Cause = StatusChange.Cause


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an event, and which statuses it changed."""

    event_id: str
    state: str
    error: str = ""
    changes: list[StatusChange] = field(default_factory=list)


def receive(*, body: bytes, signature: str) -> Outcome:
    """Verify a webhook's body, store its event once, and apply it.

    Raises gateway.InvalidSignature or intake.MalformedEvent, with nothing stored. An event that could not be applied
    comes back with the state `failed`: it is stored, and delivering it again tries again.
    """
    gateway.verify(body=body, signature=signature)
    event = store(body)
    if event.state in {State.APPLIED, State.IGNORED}:
        outcome = Outcome(event_id=event.event_id, state=event.state, error=event.error)
        _apply_what_waited_for([event], cause=Cause.EVENT)  # a crash may have come between the two
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
    except Exception as error:  # noqa: BLE001 whatever it is, the event is kept as failed
        if len(event_ids) > 1:
            return [outcome for event_id in event_ids for outcome in apply([event_id], cause=cause)]
        return [_fail(event_ids[0], error)]
    return outcomes + _apply_what_waited_for(rows, cause=cause)


def preview(rows: Iterable[WebhookEvent]) -> list[Outcome]:
    """Return what `apply` would make of events, stored or not, as things are: nothing is locked, nothing written.

    An event that would fail has the state `failed`, with its error. Parked events that would follow are left out.
    """
    outcomes: list[Outcome] = []
    payments: dict[Any, Payment] = {}
    for row in rows:
        try:
            named = [payments.setdefault(payment.pk, payment) for payment in named_by([row])]
            _, changes = ledger.work_out(examine([row], named), cause=Cause.REPLAY)
        except Exception as error:  # noqa: BLE001 whatever it is, it is shown
            outcomes.append(Outcome(event_id=row.event_id, state=State.FAILED, error=_describe(error)))
        else:
            outcomes += _outcomes([row], changes)
    return outcomes


def apply_parked(payments: QuerySet[Payment], *, cause: Cause = Cause.EVENT) -> list[Outcome]:
    """Apply the events that had to wait until one of these payments, and its session, was known."""
    event_ids = no_longer_waiting(payments)
    return apply(event_ids, cause=cause) if event_ids else []


def no_longer_waiting(payments: QuerySet[Payment]) -> list[str]:
    """Return the ids of parked events that one of these payments lets go on."""
    known = payments.filter(session_id__isnull=False)
    intents = known.filter(payment_intent_id__isnull=False).values("payment_intent_id")
    parked = WebhookEvent.objects.filter(state=State.PARKED).filter(
        Q(payment__in=known) | Q(payment_intent_id__in=intents)
    )
    return list(parked.order_by("pk").values_list("event_id", flat=True))


def _apply_together(event_ids: Sequence[str], *, cause: Cause) -> tuple[list[WebhookEvent], list[Outcome]]:
    """Lock events, then payments, then feeds, each in one fixed order; write each table once."""
    with transaction.atomic():
        rows = list(WebhookEvent.objects.select_for_update().filter(event_id__in=event_ids).order_by("pk"))
        findings = examine(rows, list(named_by(rows).select_for_update()))
        changes = ledger.record(findings, cause=cause)
        _answer_refund_requests(findings)
        WebhookEvent.objects.bulk_update(
            rows, ["state", "attempts", "applied_at", "error", "payment", "payment_intent_id"], batch_size=500
        )
    return rows, _outcomes(rows, changes)


def _outcomes(rows: Sequence[WebhookEvent], changes: Sequence[StatusChange]) -> list[Outcome]:
    return [
        Outcome(
            event_id=row.event_id,
            state=row.state,
            error=row.error,
            changes=[change for change in changes if change.event == row],
        )
        for row in rows
    ]


def _answer_refund_requests(findings: Sequence[ledger.Finding]) -> None:
    """Note on refunds asked for here which of Stripe's they are, should its answer have got lost."""
    for finding in findings:
        obj = json.loads(finding.event.body)["data"]["object"] if finding.event else {}
        request = str((obj.get("metadata") or {}).get("refund_request", ""))
        if obj.get("object") == "refund" and request.isdecimal():
            RefundRequest.objects.filter(pk=int(request), payment=finding.payment, refund_id="").update(
                refund_id=obj["id"], refund_status=obj["status"] or ""
            )


def _apply_what_waited_for(rows: Sequence[WebhookEvent], *, cause: Cause) -> list[Outcome]:
    """Apply parked events whose payment is known by now.

    It looks after the commit of what may have made the payment known, and also after the commit of what may
    have parked an event meanwhile: whichever of the two commits last finds the other. An event that was parked
    again is not followed: nothing came to be known by it.
    """
    news = [row for row in rows if row.state != State.PARKED or row.attempts == 1]
    intents = {row.payment_intent_id for row in news if row.payment_intent_id}
    named = Q(pk__in={row.payment_id for row in news if row.payment_id}) | Q(payment_intent_id__in=intents)
    return apply_parked(Payment.objects.filter(named), cause=cause)


def _fail(event_id: str, error: Exception) -> Outcome:
    """Keep the event as failed, with its error, and with its payment, so that it is found by that."""
    message = _describe(error)
    logger.error("Event %s could not be applied: %s", event_id, message)
    payment = None
    with suppress(KeyError, TypeError, AttributeError):
        payment = named_by(WebhookEvent.objects.filter(event_id=event_id)).first()
    WebhookEvent.objects.filter(event_id=event_id).update(
        state=State.FAILED, error=message, attempts=F("attempts") + 1, payment=payment
    )
    return Outcome(event_id=event_id, state=State.FAILED, error=message)


def _describe(error: Exception) -> str:
    """Say what an error is and where it arose.

    Of its text the first line is kept: in the next ones a database quotes the row that it refused, with the
    Checkout link in it.
    """
    first_line = (str(error).splitlines() or [""])[0]
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {first_line}"[:1000] + f" ({Path(where.filename).name}:{where.lineno})"

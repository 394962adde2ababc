"""Apply stored events: those of a replay or a fetch, and parked ones once their payment is known."""

import logging
import traceback
from collections import defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from payments import record, sql, writes
from payments.models import Intent, Payment, RefundRequest, StatusChange, WebhookEvent
from payments.webhooks.known import lock_stored, look_up
from payments.webhooks.matching import match
from payments.writes import ChangedError

logger = logging.getLogger(__name__)

_DIGITS_MAX = 18
"""Of a number that this service gave to a refund."""

TRIES = 4
"""Of a transaction that found another one's work where there was none when it looked."""
CHANGED = (ChangedError, IntegrityError)

State = WebhookEvent.State
Cause = StatusChange.Cause


@dataclass(frozen=True, kw_only=True)
class EventResult:
    """What became of an event, and which statuses it changed."""

    event_id: str
    state: str
    reason: str = ""
    error: str = ""
    changes: list[StatusChange] = field(default_factory=list)


def apply(event_ids: Sequence[str], *, cause: Cause = Cause.EVENT, tries: int = TRIES) -> list[EventResult]:
    """Apply stored events in one transaction; where that fails, each in its own, so that a bad one fails alone.

    What was applied before adds nothing new. Returns a result for each event, then one for each parked event that
    could be applied now because of them.
    """
    try:
        with transaction.atomic():
            rows, known = lock_stored(event_ids)
            matched = match(rows, known)
            writes.update_events(rows)
            answer_refund_requests(matched.updates)
            changes = record.apply_facts(matched.updates, foreign=matched.foreign, cause=cause)
    except Exception as error:  # noqa: BLE001 whatever it is, the event is kept as failed
        if tries > 1 and isinstance(error, CHANGED):
            return apply(event_ids, cause=cause, tries=tries - 1)
        if len(event_ids) > 1:
            return [result for event_id in event_ids for result in apply([event_id], cause=cause)]
        return [keep_failed(event_ids[0], error)]
    return results(rows, changes) + apply_waiting_for(rows, cause=cause)


def preview(rows: Iterable[WebhookEvent]) -> list[EventResult]:
    """Return what `apply` would make of events, stored or not, as things are: it locks and writes nothing.

    An event that would fail has the state `failed`, with its error. Parked events that would follow are left out.
    """
    previewed: list[EventResult] = []
    payments: dict[Any, Payment] = {}
    for row in rows:
        try:
            known = look_up([row], lock=False)
            # What the events before would have changed is known to this one.
            known.payments.update({pk: payments.setdefault(pk, p) for pk, p in known.payments.items()})
            _, changes = record.work_out(match([row], known).updates, cause=Cause.REPLAY)
        except Exception as error:  # noqa: BLE001 whatever it is, it is shown
            previewed.append(_failed(row.event_id, error))
        else:
            previewed += results([row], changes)
    return previewed


def apply_parked(payment: Payment, *, cause: Cause = Cause.EVENT) -> list[EventResult]:
    """Apply the events that had to wait until this payment, and its session, was known."""
    return _apply_waiting(
        payments={payment.pk}, intents={payment.payment_intent_id or ""} - {""}, cause=cause
    )


def no_longer_waiting() -> list[str]:
    """Return the ids of parked events that can be applied, because their payment is known by now."""
    return _waiting(Payment.objects.all(), Intent.objects.all())


def give_up_waiting(*, before: datetime) -> int:
    """Ignore events that have been parked since before this moment (UTC); return how many.

    Stripe sends no event any more that would make their payment known.
    """
    parked = WebhookEvent.objects.filter(state=State.PARKED, received_at__lt=before)
    return parked.update(
        state=State.IGNORED,
        reason=WebhookEvent.Reason.UNMATCHED,
        error="No payment of this service came to be known for it while Stripe keeps events.",
    )


def apply_waiting_for(rows: Sequence[WebhookEvent], *, cause: Cause = Cause.EVENT) -> list[EventResult]:
    """Apply parked events whose payment is known by now.

    It looks after the commit of what may have made the payment known, and also after the commit of what may
    have parked an event meanwhile: whichever of the two commits last finds the other. An event that was parked
    again is not followed: it made nothing known.
    """
    news = [row for row in rows if row.state != State.PARKED or row.attempts == 1]
    payments = {row.payment_id for row in news if row.payment_id}
    intents = {row.payment_intent_id for row in news}
    intents |= {row.payment.payment_intent_id or "" for row in news if row.payment}
    return _apply_waiting(payments=payments, intents=intents - {""}, cause=cause)


def answer_refund_requests(updates: Iterable[record.Update]) -> None:
    """Note on refunds that were asked for here which of Stripe's they are, should Stripe's answer have got lost.

    That is so whatever becomes of the events.
    """
    for update in updates:
        obj = update.event.content["data"]["object"] if update.event else {}
        request = str((obj.get("metadata") or {}).get("refund_request", ""))
        if obj.get("object") == "refund" and request.isdecimal() and len(request) <= _DIGITS_MAX:
            # A database that was restored gives numbers out again.
            same = RefundRequest.objects.filter(pk=int(request), amount=obj["amount"], refund_id="")
            same.filter(payment=update.payment).update(
                refund_id=obj["id"], refund_status=(obj["status"] or "")[:20]
            )


def results(rows: Sequence[WebhookEvent], changes: Sequence[StatusChange] = ()) -> list[EventResult]:
    """Return what became of events, each with the changes that it caused."""
    by_event = defaultdict(list)
    for change in changes:
        if change.event:
            by_event[change.event.event_id].append(change)
    return [
        EventResult(
            event_id=row.event_id,
            state=row.state,
            reason=row.reason,
            error=row.error,
            changes=by_event[row.event_id],
        )
        for row in rows
    ]


def keep_failed(event_id: str, error: Exception) -> EventResult:
    """Keep a stored event as failed, with its error, and with its payment, if that can be, so that staff find it."""
    result = _failed(event_id, error)
    logger.error("Event %s could not be applied: %s", event_id, result.error)
    event = WebhookEvent.objects.filter(event_id=event_id)
    event.update(state=result.state, reason=result.reason, error=result.error, attempts=F("attempts") + 1)
    with suppress(KeyError, TypeError, AttributeError, DatabaseError), transaction.atomic():
        sql.wait_briefly()  # another transaction may hold the payment
        event.update(payment=next(iter(look_up(event, lock=False).payments.values()), None))
    return result


def _apply_waiting(
    *, payments: AbstractSet[Any], intents: AbstractSet[str], cause: Cause
) -> list[EventResult]:
    """Apply parked events that name one of these payments or payment intents."""
    if not (payments or intents) or not sql.is_parked(payments=payments, intents=intents):
        return []
    event_ids = _waiting(
        Payment.objects.filter(pk__in=payments), Intent.objects.filter(intent_id__in=intents)
    )
    return apply(event_ids, cause=cause) if event_ids else []


def _waiting(payments: QuerySet[Payment], intents: QuerySet[Intent]) -> list[str]:
    """Return the ids of events that are parked for one of these, of those that are decided."""
    of_payments = payments.filter(session_id__isnull=False)
    of_intents = intents.filter(Q(payment=None) | Q(payment__session_id__isnull=False)).values("intent_id")
    parked = WebhookEvent.objects.filter(state=State.PARKED).values_list("pk", "event_id").order_by()
    # With OR in place of a union no index serves either side.
    waiting = parked.filter(payment__in=of_payments).union(parked.filter(payment_intent_id__in=of_intents))
    return [event_id for _, event_id in waiting.order_by("pk")]


def _failed(event_id: str, error: Exception) -> EventResult:
    """Return the result of an event that raised an error: what it is, and where it arose.

    Of its text the first line is kept: in the next ones a database quotes the row that it refused, with the
    Checkout link in it.
    """
    first_line = (str(error).splitlines() or [""])[0]
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{type(error).__name__}: {first_line}"[:1000] + f" ({Path(where.filename).name}:{where.lineno})"
    return EventResult(event_id=event_id, state=State.FAILED, reason=WebhookEvent.Reason.ERROR, error=text)

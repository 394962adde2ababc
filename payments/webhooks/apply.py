"""Apply stored events: those of a replay or a fetch, and parked ones once their payment is known."""

import logging
import traceback
from collections import defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.db.models import F

from database.errors import sqlstate
from payments import record, sql, writes
from payments.models import Payment, StatusChange, WebhookEvent
from payments.webhooks import parked
from payments.webhooks.known import lock_stored, look_up
from payments.webhooks.matching import match
from payments.webhooks.refund_requests import answered
from payments.writes import Change, ChangedError

logger = logging.getLogger(__name__)

TRIES = 4
"""Of a transaction that found another one's work where there was none when it looked."""
_CONFLICTS = {"40001", "40P01"}
"""SQLSTATEs of a conflict with another transaction, which is over: a snapshot that is too old, and a deadlock."""

State = WebhookEvent.State
Cause = StatusChange.Cause


@dataclass(frozen=True, kw_only=True)
class EventResult:
    """What became of an event, and which statuses it changed."""

    event_id: str
    state: str
    reason: str = ""
    error: str = ""
    changes: list[Change] = field(default_factory=list)


def is_conflict(error: Exception) -> bool:
    """Return whether another transaction's work was met: what is read anew is found as it is then."""
    return isinstance(error, ChangedError | IntegrityError) or sqlstate(error) in _CONFLICTS


def apply(
    event_ids: Sequence[str], *, cause: Cause = Cause.EVENT, briefly: bool = False, tries: int = TRIES
) -> list[EventResult]:
    """Apply stored events in one transaction; where that fails, each in its own, so that a bad one fails alone.

    What was applied before adds nothing new. Returns a result for each event, then one for each parked event that
    could be applied now because of them.

    Raises OperationalError where a lock, or the database, kept an event from being applied. It stays as it is, and the
    others are applied all the same. `briefly`: wait for a lock for a quarter of a second, and then apply none.
    """
    try:
        with transaction.atomic():
            rows, known = lock_stored(event_ids, briefly=briefly)
            before = {row.pk: _place(row) for row in rows}
            matched = match(rows, known)
            # Payments are locked by now, so events come next, and feeds last.
            writes.update_events(rows)
            changes = record.apply_facts(
                matched.updates, foreign=matched.foreign, refunds=answered(matched.updates), cause=cause
            )
    except Exception as error:
        if tries > 1 and is_conflict(error):
            return apply(event_ids, cause=cause, briefly=briefly, tries=tries - 1)
        # A lock that keeps one event waiting must not fail the others: try each alone. Give up where that
        # cannot help.
        passes = isinstance(error, OperationalError)
        if passes and (briefly or len(event_ids) == 1 or not connection.is_usable()):
            raise
        if len(event_ids) == 1:
            return [keep_failed(event_ids[0], error)]
        return _apply_each(event_ids, cause=cause)
    # One that is parked where it was has made nothing known, and whatever does so finds it there.
    news = [row for row in rows if row.state != State.PARKED or _place(row) != before[row.pk]]
    return results(rows, changes) + apply_waiting_for(news, cause=cause, briefly=briefly)


def _apply_each(event_ids: Sequence[str], *, cause: Cause) -> list[EventResult]:
    became, passing = [], None
    for event_id in event_ids:
        try:
            became += apply([event_id], cause=cause)
        except OperationalError as error:
            if not connection.is_usable():
                raise
            passing = error
    if passing:
        raise passing
    return became


def _place(row: WebhookEvent) -> tuple[str, Any, str]:
    """Return by what another transaction finds an event that is parked."""
    return row.state, row.payment_id, row.payment_intent_id


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
    """Apply the events that had to wait until this payment, and its session, was known.

    Raises OperationalError as `apply` does: call it again, or they are left to the next `fetch_webhooks`.
    """
    return _apply_waiting(
        payments={payment.pk}, intents={payment.payment_intent_id or ""} - {""}, cause=cause
    )


def apply_waiting_for(
    rows: Sequence[WebhookEvent], *, cause: Cause = Cause.EVENT, briefly: bool = False
) -> list[EventResult]:
    """Apply parked events whose payment is known by now. For `briefly` and what is raised see `apply`.

    It looks after the commit of what may have made the payment known, and also after the commit of what may have parked
    an event meanwhile: whichever of the two commits last finds the other.
    """
    payments, intents = _made_known(rows)
    return _apply_waiting(payments=payments, intents=intents, cause=cause, briefly=briefly)


def is_waited_for(row: WebhookEvent) -> bool:
    """Return whether a parked event can be applied because of this one."""
    payments, intents = _made_known([row])
    return bool(parked.applicable(payments=payments, intents=intents))


def _made_known(rows: Sequence[WebhookEvent]) -> tuple[set[Any], set[str]]:
    """Return the payments and the payment intents that events may have made known."""
    intents = {row.payment_intent_id for row in rows}
    intents |= {row.payment.payment_intent_id or "" for row in rows if row.payment}
    return {row.payment_id for row in rows if row.payment_id}, intents - {""}


def results(rows: Sequence[WebhookEvent], changes: Sequence[Change] = ()) -> list[EventResult]:
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
    # The state first: what follows reads the event once more, and may fail in the same way.
    logger.error("Event %s could not be applied: %s", event_id, result.error)
    event = WebhookEvent.objects.filter(event_id=event_id)
    event.update(state=result.state, reason=result.reason, error=result.error, attempts=F("attempts") + 1)
    # An event that failed may name its payment in a form that nobody can read.
    with suppress(KeyError, TypeError, AttributeError, DatabaseError), transaction.atomic():
        sql.wait_briefly()  # another transaction may hold the payment
        event.update(payment=next(iter(look_up(event, lock=False).payments.values()), None))
    return result


def _apply_waiting(
    *, payments: AbstractSet[Any], intents: AbstractSet[str], cause: Cause, briefly: bool = False
) -> list[EventResult]:
    """Apply parked events that name one of these payments or payment intents."""
    # Nearly always nothing waits. A prepared statement says so at a fraction of what the union by the ORM costs
    # (docs/decisions/0017-statements-past-the-orm.md).
    if not (payments or intents) or not sql.is_parked(payments=payments, intents=intents):
        return []
    event_ids = parked.applicable(payments=payments, intents=intents)
    return apply(event_ids, cause=cause, briefly=briefly) if event_ids else []


def _failed(event_id: str, error: Exception) -> EventResult:
    """Return the result of an event that raised an error: what it is, and where it arose.

    Of its text the first line is kept: in the next ones a database quotes the row that it refused, with the
    Checkout link in it.
    """
    first_line = (str(error).splitlines() or [""])[0]
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{type(error).__name__}: {first_line}"[:1000] + f" ({Path(where.filename).name}:{where.lineno})"
    return EventResult(event_id=event_id, state=State.FAILED, reason=WebhookEvent.Reason.ERROR, error=text)

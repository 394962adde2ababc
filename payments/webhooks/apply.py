"""Stripe's events: verified, stored once, applied. Replays, staff and late finds enter here as well."""

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
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q, QuerySet

from bulk import statements
from bulk.execution import execute
from payments import record
from payments.metrics import EVENTS
from payments.models import Intent, Payment, RefundRequest, StatusChange, WebhookEvent
from payments.webhooks import envelope, signatures
from payments.webhooks.matching import OthersNamedError, examine, look_up
from payments.webhooks.signatures import Signature

logger = logging.getLogger(__name__)

_DIGITS_MAX = 18
"""Of a number that we have given out."""

State = WebhookEvent.State
Cause = StatusChange.Cause

# With OR in place of UNION no index may serve either side.
_PARKED = """
    SELECT 1 FROM payments_webhookevent WHERE state = 'parked' AND {}
    UNION ALL SELECT 1 FROM payments_webhookevent WHERE state = 'parked' AND {} LIMIT 1
""".format(  # noqa: S608 made of names alone
    statements.among(WebhookEvent, "payment_intent_id"), statements.among(WebhookEvent, "payment")
)
_BRIEFLY = "SET LOCAL lock_timeout = '250ms'"
"""Several events do not wait for one of them: by itself it may wait as long as the database's setting says."""
_WRITTEN = ("state", "reason", "attempts", "applied_at", "error", "payment", "payment_intent_id")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an event, and which statuses it changed."""

    event_id: str
    state: str
    reason: str = ""
    error: str = ""
    changes: list[StatusChange] = field(default_factory=list)


def receive(*, body: bytes, signature: Signature) -> WebhookEvent:
    """Verify a webhook's body; return its event, which is not stored yet.

    Raises signatures.InvalidSignature or intake.MalformedEvent.
    """
    signatures.verify(body=body, signature=signature)
    return envelope.read(body)


def take_in(rows: Sequence[WebhookEvent], *, together: bool = False) -> list[Outcome]:
    """Store delivered events, each once, and apply them; return what became of each, in their order.

    Those that are new are written as what became of them, in one transaction. Where that fails the event is kept with
    the state `failed`, and delivering it again tries again. What was delivered before is counted, and applied if it
    was not.

    `together`: raise NotTogetherError, with nothing of the new ones written, where that fails or has to wait for
    somebody's lock. Several are always taken in so: then take in each by itself.
    """
    fresh: dict[str, WebhookEvent] = {}
    again = [row for row in rows if fresh.setdefault(row.event_id, row) is not row]
    outcomes, left = _take_in_new(list(fresh.values()), together=together or len(fresh) > 1)
    became = {outcome.event_id: outcome for outcome in outcomes + _take_in_again(left + again)}
    for row in rows:
        outcome = became[row.event_id]
        EVENTS.labels(state=outcome.state, reason=outcome.reason).inc()
    return [became[row.event_id] for row in rows]


def apply(
    event_ids: Sequence[str], *, cause: Cause = Cause.EVENT, also: AbstractSet[UUID] = frozenset()
) -> list[Outcome]:
    """Apply stored events in one transaction; where that fails, one by one, so that a bad one fails alone.

    What was applied before adds nothing new. Returns an outcome for each event, then one for each parked event
    that could be applied now because of them. `also`: see `look_up`.
    """
    try:
        rows, outcomes = _apply_together(event_ids, cause=cause, also=also)
    except record.IntentTakenError:
        return apply(event_ids, cause=cause, also=also)
    except OthersNamedError as error:
        return apply(event_ids, cause=cause, also=also | error.keys)
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
            known = look_up([row], lock=False)
            # What the events before would have changed is known to this one.
            known.payments.update({pk: payments.setdefault(pk, p) for pk, p in known.payments.items()})
            _, changes = record.work_out(examine([row], known), cause=Cause.REPLAY)
        except Exception as error:  # noqa: BLE001 whatever it is, it is shown
            outcomes.append(_failed_outcome(row.event_id, error))
        else:
            outcomes += _outcomes([row], changes)
    return outcomes


def apply_parked(payment: Payment, *, cause: Cause = Cause.EVENT) -> list[Outcome]:
    """Apply the events that had to wait until this payment, and its session, was known."""
    return _apply_waiting(keys={payment.pk}, intents={payment.payment_intent_id} - {None}, cause=cause)


def no_longer_waiting() -> list[str]:
    """Return the ids of parked events that can go on: it is known by now whose they are."""
    known = Q(payment=None) | Q(payment__session_id__isnull=False)
    intents = Intent.objects.filter(known).values("intent_id")
    return _waiting(Payment.objects.filter(session_id__isnull=False), intents)


def give_up_waiting(*, before: datetime) -> int:
    """Ignore events that have been parked since before this moment (UTC); return how many.

    Stripe makes no event of a payment known any more that it has not told of within that time.
    """
    parked = WebhookEvent.objects.filter(state=State.PARKED, received_at__lt=before)
    return parked.update(
        state=State.IGNORED,
        reason=WebhookEvent.Reason.UNMATCHED,
        error="No payment of this service came to be known for it while Stripe keeps events.",
    )


def _take_in_new(
    rows: list[WebhookEvent], *, together: bool, also: AbstractSet[UUID] = frozenset()
) -> tuple[list[Outcome], list[WebhookEvent]]:
    """Store and apply the events that are new, in one transaction.

    Returns what became of them, and the events that are left to be stored first: those that may be known. A session
    belongs to one payment for good, so that a few rounds find all that are named.
    """
    connection.ensure_connection()
    before = connection.connection
    try:
        return (_apply_while_storing(rows, together=together, also=also) if rows else []), []
    except _KnownError as error:
        known = [row for row in rows if row.event_id in error.event_ids]
        new = [row for row in rows if row.event_id not in error.event_ids]
        outcomes, left = _take_in_new(new, together=together)
        return outcomes, known + left
    except record.IntentTakenError:
        return _take_in_new(rows, together=together, also=also)
    except OthersNamedError as error:
        return _take_in_new(rows, together=together, also=also | error.keys)
    except Exception as error:
        if connection.connection is None:  # it is lost, and there is no other
            raise
        if connection.connection is not before:  # it was lost, perhaps after the commit
            return [], rows
        if together:
            raise NotTogetherError from error
        return _keep(rows[0], error), []


class NotTogetherError(Exception):
    """Events could not be written in one transaction: one of them is bad, or has to wait."""


class _KnownError(Exception):
    """Some events were delivered before: nothing was written."""

    def __init__(self, event_ids: list[str]) -> None:
        self.event_ids = event_ids


def _apply_while_storing(
    rows: list[WebhookEvent], *, together: bool, also: AbstractSet[UUID]
) -> list[Outcome]:
    """Lock payments, then write events, then lock feeds, each in one fixed order. Raises _KnownError."""
    with transaction.atomic():
        if together and connection.vendor == "postgresql":
            execute(_BRIEFLY)
        known_before = look_up(rows, lock=True, also=also)
        sessions = {key: payment.session_id for key, payment in known_before.payments.items()}
        for row in rows:
            row.attempts = 0  # it may have been tried before
        findings = examine(rows, known_before)
        in_order = sorted(rows, key=lambda row: row.event_id)  # or two workers could wait for each other
        if known := statements.insert_new(in_order, key="event_id"):
            raise _KnownError(known)
        changes = record.apply_facts(findings, cause=Cause.EVENT)
        _answer_refund_requests(findings)
    found = {key for key, payment in known_before.payments.items() if payment.session_id != sessions[key]}
    found_intents = {intent.intent_id for intent in record.intents(findings)}
    news = [
        row
        for row in rows
        if row.state == State.PARKED or row.payment_id in found or row.payment_intent_id in found_intents
    ]
    return _outcomes(rows, changes) + _apply_what_waited_for(news, cause=Cause.EVENT)


def _keep(row: WebhookEvent, error: Exception) -> list[Outcome]:
    """Store an event that could not be applied, as failed, unless somebody else has stored it meanwhile."""
    event = envelope.store(row)
    if event.state == State.RECEIVED and not event.attempts:
        return [_fail(event.event_id, error)]
    return _finish([event])


def _take_in_again(rows: list[WebhookEvent]) -> list[Outcome]:
    """Store events, or count that they were delivered before, and apply those that are not."""
    return _finish([envelope.store(row) for row in rows])


def _finish(stored: list[WebhookEvent]) -> list[Outcome]:
    """Apply those of stored events that are not applied, and what may still wait for the others."""
    done = [row for row in stored if row.state in {State.APPLIED, State.IGNORED}]
    due = [row.event_id for row in stored if row.state not in {State.APPLIED, State.IGNORED}]
    outcomes = [_outcome(row) for row in done]
    if due:
        outcomes += apply(due)
    _apply_what_waited_for(done, cause=Cause.EVENT)  # a crash may have come between the two
    return outcomes


def _apply_together(
    event_ids: Sequence[str], *, cause: Cause, also: AbstractSet[UUID]
) -> tuple[list[WebhookEvent], list[Outcome]]:
    """Lock events, then payments, then feeds, each in one fixed order; write each table once."""
    with transaction.atomic():
        rows = list(WebhookEvent.objects.select_for_update().filter(event_id__in=event_ids).order_by("pk"))
        findings = examine(rows, look_up(rows, lock=True, also=also))
        changes = record.apply_facts(findings, cause=cause)
        _answer_refund_requests(findings)
        if rows:
            statements.write(statements.updating(rows, _WRITTEN))
    return rows, _outcomes(rows, changes)


def _outcomes(rows: Sequence[WebhookEvent], changes: Sequence[StatusChange]) -> list[Outcome]:
    by_event = defaultdict(list)
    for change in changes:
        if change.event:
            by_event[change.event.event_id].append(change)
    return [_outcome(row, by_event[row.event_id]) for row in rows]


def _outcome(row: WebhookEvent, changes: Sequence[StatusChange] = ()) -> Outcome:
    return Outcome(
        event_id=row.event_id, state=row.state, reason=row.reason, error=row.error, changes=list(changes)
    )


def _answer_refund_requests(findings: Sequence[record.Finding | record.Foreign]) -> None:
    """Note on refunds asked for here which of Stripe's they are, should its answer have got lost."""
    for finding in findings:
        if isinstance(finding, record.Foreign):
            continue
        obj = finding.event.content["data"]["object"] if finding.event else {}
        request = str((obj.get("metadata") or {}).get("refund_request", ""))
        if obj.get("object") == "refund" and request.isdecimal() and len(request) <= _DIGITS_MAX:
            # A database that was restored gives numbers out again.
            same = RefundRequest.objects.filter(pk=int(request), amount=obj["amount"], refund_id="")
            same.filter(payment=finding.payment).update(
                refund_id=obj["id"], refund_status=(obj["status"] or "")[:20]
            )


def _apply_what_waited_for(rows: Sequence[WebhookEvent], *, cause: Cause) -> list[Outcome]:
    """Apply parked events whose payment is known by now.

    It looks after the commit of what may have made the payment known, and also after the commit of what may
    have parked an event meanwhile: whichever of the two commits last finds the other. An event that was parked
    again is not followed: nothing came to be known by it.
    """
    news = [row for row in rows if row.state != State.PARKED or row.attempts == 1]
    keys = {row.payment_id for row in news if row.payment_id}
    intents = {row.payment_intent_id for row in news if row.payment_intent_id}
    intents |= {row.payment.payment_intent_id or "" for row in news if row.payment} - {""}
    return _apply_waiting(keys=keys, intents=intents, cause=cause) if keys or intents else []


def _apply_waiting(*, keys: set[Any], intents: set[Any], cause: Cause) -> list[Outcome]:
    """Apply parked events that name one of these payments or payment intents."""
    if not _is_parked(keys=keys, intents=intents):
        return []
    known = Q(payment=None) | Q(payment__session_id__isnull=False)
    decided = Intent.objects.filter(known, intent_id__in=intents).values("intent_id")
    event_ids = _waiting(Payment.objects.filter(pk__in=keys, session_id__isnull=False), decided)
    return apply(event_ids, cause=cause) if event_ids else []


def _waiting(payments: QuerySet[Payment], intents: QuerySet[Intent, Any]) -> list[str]:
    """Return the ids of the events that are parked for one of these. With OR no index serves either side."""
    parked = WebhookEvent.objects.filter(state=State.PARKED).values_list("pk", "event_id").order_by()
    waiting = parked.filter(payment__in=payments).union(parked.filter(payment_intent_id__in=intents))
    return [event_id for _, event_id in waiting.order_by("pk")]


def _is_parked(*, keys: AbstractSet[Any], intents: AbstractSet[str | None]) -> bool:
    """Tell whether an event is parked that names one of these: a cheap question, before the whole one."""
    named = (
        statements.values_of(WebhookEvent, "payment_intent_id", intents - {None}),
        statements.values_of(WebhookEvent, "payment", keys),
    )
    return bool(execute(_PARKED, *named))


def _fail(event_id: str, error: Exception) -> Outcome:
    """Keep the event as failed, with its error, and, if that can be, with its payment, so that it is found by that."""
    message = _describe(error)
    logger.error("Event %s could not be applied: %s", event_id, message)
    event = WebhookEvent.objects.filter(event_id=event_id)
    event.update(
        state=State.FAILED, reason=WebhookEvent.Reason.ERROR, error=message, attempts=F("attempts") + 1
    )
    with suppress(KeyError, TypeError, AttributeError, DatabaseError), transaction.atomic():
        if connection.vendor == "postgresql":
            execute(_BRIEFLY)  # the payment may be what somebody holds
        event.update(payment=next(iter(look_up(event, lock=False).payments.values()), None))
    return _failed_outcome(event_id, error)


def _failed_outcome(event_id: str, error: Exception) -> Outcome:
    return Outcome(
        event_id=event_id, state=State.FAILED, reason=WebhookEvent.Reason.ERROR, error=_describe(error)
    )


def _describe(error: Exception) -> str:
    """Say what an error is and where it arose.

    Of its text the first line is kept: in the next ones a database quotes the row that it refused, with the
    Checkout link in it.
    """
    first_line = (str(error).splitlines() or [""])[0]
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {first_line}"[:1000] + f" ({Path(where.filename).name}:{where.lineno})"

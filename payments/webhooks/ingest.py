"""Verify events that Stripe delivers, store each once, and apply it."""

from collections.abc import Sequence
from contextlib import nullcontext

from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction

from database.prepared import is_postgresql
from payments import record, sql
from payments.metrics import EVENTS
from payments.models import StatusChange, WebhookEvent
from payments.webhooks import envelope, signatures
from payments.webhooks.apply import (
    TRIES,
    EventResult,
    apply,
    apply_waiting_for,
    is_conflict,
    is_waited_for,
    keep_failed,
    results,
)
from payments.webhooks.known import look_up
from payments.webhooks.matching import match
from payments.webhooks.refund_requests import answered
from payments.webhooks.signatures import Signature

State = WebhookEvent.State


class NotTogetherError(Exception):
    """Events could not be written in one transaction: one of them is bad, or has to wait."""


def receive(*, body: bytes, signature: Signature) -> WebhookEvent:
    """Verify a webhook's body; return its event, which is not stored yet.

    Raises signatures.InvalidSignature or envelope.MalformedEvent.
    """
    signatures.verify(body=body, signature=signature)
    return envelope.read(body)


def ingest(rows: Sequence[WebhookEvent], *, together: bool = False) -> list[EventResult]:
    """Store delivered events, each once, and apply them; return what became of each, in their order.

    It does what `write` does, and then waits for locks, for as long as the settings say. An event that was delivered
    before is counted, and applied if it was not. Raises OperationalError where a lock, or the database, kept an event
    from being applied: then it is stored, if that could be, and its next delivery goes on.

    `together`: raise NotTogetherError in place of waiting longer than for a quarter of a second.
    """
    written = write(rows, together=together)
    try:
        return [result or _finish(row, briefly=together) for row, result in zip(rows, written, strict=True)]
    except OperationalError as error:
        if together:
            raise NotTogetherError from error
        raise


def write(
    rows: Sequence[WebhookEvent], *, together: bool = False, tries: int = TRIES
) -> list[EventResult | None]:
    """Write new events in one transaction as what became of them; return that for each, in their order.

    None: it was stored before, or parked events wait for it in vain, or it could not be seen whether it is stored;
    `ingest` goes on with it. Where the write fails the event is kept with the state `failed`, and the next delivery
    tries again.

    `together`: raise NotTogetherError, with no new event written, where that fails or has to wait for a lock. Several
    events are always written like this: the caller then ingests them one at a time. With one of `tries` on PostgreSQL,
    a payment's lock is not waited for at all.
    """
    fresh: dict[str, WebhookEvent] = {}
    for row in rows:
        # A second copy in one batch is left to `ingest`, which counts its delivery.
        fresh.setdefault(row.event_id, row)
    became = _write(list(fresh.values()), together=together or len(fresh) > 1, tries=tries)
    done = [became.get(row.event_id) if fresh[row.event_id] is row else None for row in rows]
    for result in filter(None, done):
        _count(result)
    return done


def _write(
    rows: list[WebhookEvent], *, together: bool, tries: int, attempt: int = 1
) -> dict[str, EventResult]:
    """Write events that are new, all or none. Returns the results of those that are done with.

    Takes out of `rows` what is found to be stored: once it is known, the payments of those are not waited for.
    """
    database = connections[DEFAULT_DB_ALIAS]  # `connection` would look for the thread's at each use
    database.ensure_connection()
    # Django connects anew by itself. Only the object shows later that the connection was lost on the way.
    before = database.connection
    # Within a transaction of the caller's a conflict would end that transaction. There the locks come with a
    # savepoint.
    can_guard = is_postgresql() and not database.in_atomic_block
    try:
        # The first try takes no lock, which saves two round trips. Few events meet another's work, and those
        # try again with locks.
        became, news = _write_applied(rows, briefly=together, lock=not can_guard or attempt > 1)
    except Exception as error:
        for row in rows:
            # What was rolled back has no key. By that `_stored` knows that the delivery is not counted yet.
            row.pk = None
        if database.connection is None:  # it is lost, and there is no other
            raise
        if database.connection is before and not database.is_usable():
            database.close()
            database.ensure_connection()
        if database.connection is not before:  # it was lost, perhaps after the commit
            return {}
        if attempt < tries and is_conflict(error):
            return _write(rows, together=together, tries=tries, attempt=attempt + 1)
        if together:
            raise NotTogetherError from error
        return _keep(rows[0], error)
    return _followed(became, news)


def _write_applied(
    rows: list[WebhookEvent], *, briefly: bool, lock: bool
) -> tuple[dict[str, EventResult], list[WebhookEvent]]:
    """Write new events as what became of them; return that, and those that parked events may have waited for.

    One statement reads, another one writes. Without `lock` there is no transaction around them, and ChangedError is
    raised where another transaction has changed, or is about to change, what was read. For what else is raised see
    `writes.write`. Takes out of `rows` what is stored already.
    """
    with transaction.atomic() if lock else nullcontext():
        known = look_up(rows, lock=lock, briefly=briefly and lock)
        if known.stored:
            rows[:] = [row for row in rows if row.event_id not in known.stored]
            if not lock and rows:  # the payments of those that are stored are no part of this
                return _write_applied(rows, briefly=briefly, lock=lock)
        if not rows:
            return {}, []
        sessions = {key: payment.session_id for key, payment in known.payments.items()}
        for row in rows:
            row.pk, row.attempts = None, 0  # it may have been tried before
        matched = match(rows, known)
        changes = record.apply_facts(
            matched.updates,
            cause=StatusChange.Cause.EVENT,
            foreign=matched.foreign,
            events=rows,
            refunds=answered(matched.updates),
            versions=None if lock else known.versions,
            briefly=briefly,
        )
    found = {key for key, payment in known.payments.items() if payment.session_id != sessions[key]}
    intents = matched.foreign | {u.payment_intent_id for u in matched.updates if u.is_new_intent}
    news = [
        row
        for row in rows
        if row.state == State.PARKED or row.payment_id in found or row.payment_intent_id in intents
    ]
    return {result.event_id: result for result in results(rows, changes)}, news


def _followed(became: dict[str, EventResult], news: list[WebhookEvent]) -> dict[str, EventResult]:
    """Apply parked events that waited for these; leave out the result of each one that they wait for still.

    An event is not answered before they are applied: else no delivery would come that tries again.
    """
    try:
        return became | {result.event_id: result for result in apply_waiting_for(news, briefly=True)}
    except OperationalError:
        left = {row.event_id for row in news if not connection.is_usable() or is_waited_for(row)}
        return {event_id: result for event_id, result in became.items() if event_id not in left}


def _keep(row: WebhookEvent, error: Exception) -> dict[str, EventResult]:
    """Store an event that could not be applied as failed, unless another delivery has stored it meanwhile.

    Where nothing but the database was in the way, store it as received, and raise its OperationalError.
    """
    event = _stored(row, briefly=False)
    if isinstance(error, OperationalError):
        raise error
    if event.state == State.RECEIVED and not event.attempts:
        return {event.event_id: keep_failed(event.event_id, error)}
    return {}


def _finish(row: WebhookEvent, *, briefly: bool) -> EventResult:
    """Apply a stored event if it is not applied, and what may still wait for it. For what is raised see `apply`."""
    event = _stored(row, briefly=briefly)
    if event.state in {State.APPLIED, State.IGNORED}:
        apply_waiting_for([event], briefly=briefly)  # a crash may have come between the two
        became = results([event])
    else:
        became = [r for r in apply([event.event_id], briefly=briefly) if r.event_id == event.event_id]
    if not became:  # it was removed meanwhile
        row.pk = None
        return ingest([row], together=briefly)[0]
    _count(became[-1])
    return became[-1]


def _stored(row: WebhookEvent, *, briefly: bool) -> WebhookEvent:
    """Return the stored row of a delivered event. Its delivery is counted once; then `row` has its primary key."""
    if row.pk is not None and (event := WebhookEvent.objects.filter(event_id=row.event_id).first()):
        return event
    with transaction.atomic():
        if briefly:
            sql.wait_briefly()
        event = envelope.store(row)
    row.pk = event.pk
    return event


def _count(result: EventResult) -> None:
    EVENTS.labels(state=result.state, reason=result.reason).inc()

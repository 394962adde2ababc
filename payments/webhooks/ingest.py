"""Take in events that Stripe delivers: verified, stored once, and applied."""

from collections.abc import Sequence
from contextlib import nullcontext

from django.db import connection, transaction

from payments import record
from payments.metrics import EVENTS
from payments.models import StatusChange, WebhookEvent
from payments.webhooks import envelope, signatures
from payments.webhooks.apply import (
    CHANGED,
    TRIES,
    EventResult,
    answer_refund_requests,
    apply,
    apply_waiting_for,
    keep_failed,
    results,
)
from payments.webhooks.known import look_up
from payments.webhooks.matching import match
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

    New events are written in one transaction as what became of them. Where that fails the event is kept with the state
    `failed`, and the next delivery tries again. An event that was delivered before is counted, and applied if it was not.

    `together`: raise NotTogetherError, with no new event written, where that fails or has to wait for a lock. Several
    events are always written like this: the caller then ingests them one at a time.
    """
    fresh: dict[str, WebhookEvent] = {}
    again = [row for row in rows if fresh.setdefault(row.event_id, row) is not row]
    new, left = _ingest_new(list(fresh.values()), together=together or len(fresh) > 1)
    became = {result.event_id: result for result in new + _finish([envelope.store(r) for r in left + again])}
    for row in rows:
        result = became[row.event_id]
        EVENTS.labels(state=result.state, reason=result.reason).inc()
    return [became[row.event_id] for row in rows]


def _ingest_new(
    rows: list[WebhookEvent], *, together: bool, tries: int = TRIES
) -> tuple[list[EventResult], list[WebhookEvent]]:
    """Store and apply the events that are new, all or none.

    Returns what became of them, and the events that are, or may be, stored already.
    """
    connection.ensure_connection()
    before = connection.connection
    can_guard = connection.vendor == "postgresql" and not connection.in_atomic_block
    try:
        return _store_applied(rows, briefly=together, lock=not can_guard or tries < TRIES)
    except Exception as error:
        if connection.connection is None:  # it is lost, and there is no other
            raise
        if connection.connection is before and not connection.is_usable():
            connection.close()
            connection.ensure_connection()
        if connection.connection is not before:  # it was lost, perhaps after the commit
            return [], rows
        if tries > 1 and isinstance(error, CHANGED):
            return _ingest_new(rows, together=together, tries=tries - 1)
        if together:
            raise NotTogetherError from error
        return _keep(rows[0], error), []


def _store_applied(
    rows: list[WebhookEvent], *, briefly: bool, lock: bool
) -> tuple[list[EventResult], list[WebhookEvent]]:
    """Write new events as what became of them; return that, and the events that are stored already.

    One statement reads, another one writes. Without `lock` there is no transaction around them, and ChangedError is
    raised where another transaction has changed, or is about to change, what was read. For what else is raised see
    `writes.write`.
    """
    with transaction.atomic() if lock else nullcontext():
        known = look_up(rows, lock=lock, briefly=briefly and lock)
        sessions = {key: payment.session_id for key, payment in known.payments.items()}
        new = [row for row in rows if row.event_id not in known.stored]
        if not new:
            return [], rows
        for row in new:
            row.attempts = 0  # it may have been tried before
        matched = match(new, known)
        answer_refund_requests(matched.updates)
        changes = record.apply_facts(
            matched.updates,
            cause=StatusChange.Cause.EVENT,
            foreign=matched.foreign,
            events=new,
            versions=None if lock else known.versions,
            briefly=briefly,
        )
    found = {key for key, payment in known.payments.items() if payment.session_id != sessions[key]}
    intents = matched.foreign | {u.payment_intent_id for u in matched.updates if u.is_new_intent}
    news = [
        row
        for row in new
        if row.state == State.PARKED or row.payment_id in found or row.payment_intent_id in intents
    ]
    stored = [row for row in rows if row.event_id in known.stored]
    return results(new, changes) + apply_waiting_for(news), stored


def _keep(row: WebhookEvent, error: Exception) -> list[EventResult]:
    """Store an event that could not be applied as failed, unless another delivery has stored it meanwhile."""
    event = envelope.store(row)
    if event.state == State.RECEIVED and not event.attempts:
        return [keep_failed(event.event_id, error)]
    return _finish([event])


def _finish(stored: list[WebhookEvent]) -> list[EventResult]:
    """Apply those of stored events that are not applied, and what may still wait for the others."""
    done = [row for row in stored if row.state in {State.APPLIED, State.IGNORED}]
    due = [row.event_id for row in stored if row.state not in {State.APPLIED, State.IGNORED}]
    became = results(done) + (apply(due) if due else [])
    apply_waiting_for(done)  # a crash may have come between the two
    return became

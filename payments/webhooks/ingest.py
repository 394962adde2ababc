"""Take in events that Stripe delivers: verified, stored once, and applied."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from django.db import connection, transaction

from payments import record, sql
from payments.metrics import EVENTS
from payments.models import StatusChange, WebhookEvent
from payments.webhooks import envelope, signatures
from payments.webhooks.apply import EventResult, apply, apply_matched, apply_waiting_for, keep_failed, results
from payments.webhooks.known import look_up
from payments.webhooks.matching import match
from payments.webhooks.signatures import Signature

State = WebhookEvent.State


class NotTogetherError(Exception):
    """Events could not be written in one transaction: one of them is bad, or has to wait."""


class _KnownError(Exception):
    """Some events were delivered before: nothing was written."""

    def __init__(self, event_ids: list[str]) -> None:
        super().__init__()
        self.event_ids = event_ids


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
    rows: list[WebhookEvent], *, together: bool, also: AbstractSet[Any] = frozenset()
) -> tuple[list[EventResult], list[WebhookEvent]]:
    """Store and apply the events that are new, in one transaction.

    Returns what became of them, and the events that are, or may be, stored already. `also`: see `known.look_up`.
    """
    connection.ensure_connection()
    before = connection.connection
    try:
        return (_store_applied(rows, together=together, also=also) if rows else []), []
    except _KnownError as error:
        known = [row for row in rows if row.event_id in error.event_ids]
        new = [row for row in rows if row.event_id not in error.event_ids]
        became, left = _ingest_new(new, together=together, also=also)
        return became, known + left
    except record.LookAgainError as error:
        return _ingest_new(rows, together=together, also=also | error.payments)
    except Exception as error:
        if connection.connection is None:  # it is lost, and there is no other
            raise
        if connection.connection is not before:  # it was lost, perhaps after the commit
            return [], rows
        if together:
            raise NotTogetherError from error
        return _keep(rows[0], error), []


def _store_applied(rows: list[WebhookEvent], *, together: bool, also: AbstractSet[Any]) -> list[EventResult]:
    """Write new events as what became of them. Raises _KnownError or record.LookAgainError, with nothing written."""
    with transaction.atomic():
        if together:
            sql.wait_briefly()
        known = look_up(rows, lock=True, also=also)
        sessions = {key: payment.session_id for key, payment in known.payments.items()}
        for row in rows:
            row.attempts = 0  # it may have been tried before
        matched = match(rows, known)
        in_order = sorted(rows, key=lambda row: row.event_id)  # or two workers could wait for each other
        if stored := sql.insert_events(in_order):
            raise _KnownError(stored)
        changes = apply_matched(matched, cause=StatusChange.Cause.EVENT)
    found = {key for key, payment in known.payments.items() if payment.session_id != sessions[key]}
    intents = matched.foreign | {u.payment_intent_id for u in matched.updates if u.is_new_intent}
    news = [
        row
        for row in rows
        if row.state == State.PARKED or row.payment_id in found or row.payment_intent_id in intents
    ]
    return results(rows, changes) + apply_waiting_for(news)


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

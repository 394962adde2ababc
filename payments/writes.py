"""What an event writes, and a new payment: on PostgreSQL one statement, whatever the number of events.

A transaction that waits for another one in it does so in one order: for an event of the same id, for feeds, for what is
unique of a payment, for a payment intent, for a request of a refund. The payments are locked before. A part of the
statement begins once the one that it names in its condition is complete; PostgreSQL promises no order of others
(https://www.postgresql.org/docs/current/queries-with.html#QUERIES-WITH-MODIFYING).
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import orjson
from django.db import connection
from django.db.models import Model
from django.utils import timezone

from database.prepared import execute, is_postgresql
from notifications import feed
from payments import write_sql as sql
from payments.models import Payment, RefundRequest, StatusChange, WebhookEvent
from payments.write_sql import Write


class ChangedError(Exception):
    """What was read has changed since, and nothing was written: read it again."""


@dataclass(kw_only=True, slots=True)
class Change:
    """A change of a payment's status, and what caused it: a StatusChange before it is written."""

    payment: Payment
    before: str
    after: str
    cause: StatusChange.Cause
    api_key: str = ""
    event: WebhookEvent | None = None
    seq: int | None = None
    """The number of the notification that carries it to the user."""


class Additions(NamedTuple):
    """What is written: new events, payment intents, changes of statuses, notifications, and payments as they are now.

    `news` has the notifications of the `announced` changes, in their order.
    """

    events: Sequence[WebhookEvent]
    payments: Sequence[Payment]
    intents: Mapping[str, uuid.UUID | None]
    """Those that are new, and whose they are; None: another integration's."""
    changes: Sequence[Change]
    refunds: Sequence[RefundRequest]
    """What Stripe made of requests: noted on those that have this number, amount and payment, and no answer yet."""
    announced: Sequence[Change]
    news: feed.Prepared
    versions: Mapping[uuid.UUID, str] | None = None
    """Of all payments that were read, if they are not locked. What is not as it was read makes nothing be written."""
    briefly: bool = False
    """Whether to wait for a lock for a quarter of a second at most."""


def update_events(rows: Sequence[WebhookEvent]) -> None:
    """Write what became of stored events."""
    _execute(sql.EVENTS, rows)


def write(new: Additions) -> feed.Numbers:
    """Write what events add; return the notifications' numbers.

    The caller is in a transaction and has locked the payments, or gives their versions, on PostgreSQL. Sets the primary
    keys of events, and in changes the numbers of notifications and the keys of events. Raises ChangedError, and
    IntegrityError where an event is stored already or a payment intent is another payment's.
    """
    in_order = sorted(new.events, key=attrgetter("event_id"))  # or two workers could wait for each other
    new = new._replace(events=in_order)
    return _in_one(new) if is_postgresql() else _in_several(new)


def add_payment(payment: Payment) -> str:
    """Insert a payment; return its version, by which `write_link` sees that nothing has changed it. Raises IntegrityError.

    SQLite has no versions: there it is empty.
    """
    [(version,)] = _execute(sql.NEW_PAYMENTS, [payment])
    payment._state.adding = False
    return version or ""


def write_link(payment: Payment, *, news: feed.Prepared, version: str = "") -> feed.Numbers:
    """Write a payment's session, and the notification of its link; return the number, which the payment has from then on.

    The caller is in a transaction and has locked the payment, or gives its version, on PostgreSQL. Raises ChangedError.
    """
    if not is_postgresql():
        numbers = feed.write(news)
        [payment.link_seq] = numbers.seqs
        _execute(sql.LINKS, [payment])
        return numbers
    seen = _versions_json({payment.pk: version}) if version else ""
    numbers = _numbers(_together(unchanged=seen, feed=news.rows, link=_json(sql.LINKS, [payment])))
    if not numbers.seqs:
        raise ChangedError
    [payment.link_seq] = numbers.seqs
    return numbers


def _in_one(new: Additions) -> feed.Numbers:
    returned = _together(
        briefly=new.briefly,
        unchanged=_versions_json(new.versions) if new.versions else "",
        event=_json(sql.NEW_EVENTS, new.events) if new.events else "",
        feed=new.news.rows if new.news.new else "",
        payment=_json(sql.PAYMENTS, new.payments) if new.payments else "",
        intent=_text(sql.INTENTS, _intents(new)) if new.intents else "",
        change=_text(sql.CHANGES, _changes(new)) if new.changes else "",
        refund=_json(sql.REFUNDS, new.refunds) if new.refunds else "",
    )
    # Each new event returns a row, unless the guard kept every part from writing.
    if len(returned) < len(new.events):
        raise ChangedError
    numbers = _numbers(returned)
    _number_events(new, {key: int(number) for part, key, number, _ in returned if part == "event"})
    _number_changes(new, numbers.seqs)
    return numbers


def _together(*, briefly: bool = False, **rows: str) -> list[tuple[Any, ...]]:
    """Execute a statement of these parts; see `write_sql.together`.

    Leave out the parts that have no rows: PostgreSQL would plan and run them all the same.
    """
    parts = tuple(name for name, value in rows.items() if value)
    return execute(sql.together(parts, briefly=briefly), *(rows[name] for name in parts)) if parts else []


def _numbers(returned: Sequence[tuple[Any, ...]]) -> feed.Numbers:
    # PostgreSQL promises no order of rows. The key is the place among the notifications.
    in_order = sorted(
        (int(key), int(number), segment) for part, key, number, segment in returned if part == "feed"
    )
    return feed.Numbers([seq for _, seq, _ in in_order], in_order[0][2] if in_order else None)


def _in_several(new: Additions) -> feed.Numbers:
    # Changes bear the keys of events and the numbers of notifications, so these two are written first.
    _number_events(new, dict(_execute(sql.NEW_EVENTS, new.events)))
    numbers = feed.write(new.news)
    _number_changes(new, numbers.seqs)
    _execute(sql.PAYMENTS, new.payments)
    if new.intents:
        execute(sql.one(sql.INTENTS), _text(sql.INTENTS, _intents(new)))
    if new.changes:
        execute(sql.one(sql.CHANGES), _text(sql.CHANGES, _changes(new)))
    _execute(sql.REFUNDS, new.refunds)
    return numbers


def _number_events(new: Additions, made: Mapping[str, int]) -> None:
    for row in new.events:
        row.pk = made[row.event_id]


def _number_changes(new: Additions, seqs: Sequence[int]) -> None:
    for change, seq in zip(new.announced, seqs, strict=True):
        change.seq = seq


def _execute(write: Write, rows: Sequence[Model]) -> list[tuple[Any, ...]]:
    return execute(sql.one(write), _json(write, rows)) if rows else []


def _json(write: Write, rows: Sequence[Model]) -> str:
    """Return the values of rows. What is new is made now, as Django's own insert would have it."""
    columns = write.columns.split()
    if write.made_at:
        for row in rows:
            setattr(row, write.made_at, timezone.now())
    values = attrgetter(*columns)
    return _text(write, [dict(zip(columns, values(row), strict=True)) for row in rows])


def _intents(new: Additions) -> list[dict[str, Any]]:
    now = timezone.now()
    return [{"intent_id": name, "payment_id": key, "created_at": now} for name, key in new.intents.items()]


def _changes(new: Additions) -> list[dict[str, Any]]:
    """Return the values of changes, each with the id of its event and the place of its notification, if it has them."""
    now = timezone.now()
    places = {id(change): place for place, change in enumerate(new.announced)}
    return [
        {
            "payment_id": change.payment.pk,
            "before": change.before,
            "after": change.after,
            "cause": change.cause,
            "api_key": change.api_key,
            "event_id": change.event and change.event.pk,
            "seq": change.seq,
            "created_at": now,
            "event": change.event and change.event.event_id,
            "place": places.get(id(change)),
        }
        for change in new.changes
    ]


def _versions_json(versions: Mapping[uuid.UUID, str]) -> str:
    return orjson.dumps([{"id": key, "version": version} for key, version in versions.items()]).decode()


def _text(write: Write, values: list[dict[str, Any]]) -> str:
    """Return values in JSON. PostgreSQL makes dates, UUIDs and JSON of text itself."""
    if not is_postgresql():
        fields: list[Any] = [write.model._meta.get_field(column) for column in write.columns.split()]
        values = [
            {field.column: field.get_db_prep_save(row[field.column], connection) for field in fields}
            for row in values
        ]
    return orjson.dumps(values).decode()

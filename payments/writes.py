"""What an event writes: on PostgreSQL one statement, whatever the number of events.

Whoever waits for another transaction in it does so in one order: for an event of the same id, for feeds, for what is
unique of a payment, for a payment intent. The payments are locked before. A part of the statement begins once the one
that it names in its condition is complete; PostgreSQL promises no order of others
(https://www.postgresql.org/docs/current/queries-with.html#QUERIES-WITH-MODIFYING).
"""

import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import orjson
from django.db import connection
from django.db.models import Model

from database.prepared import execute
from notifications import feed
from payments.models import Intent, Payment, StatusChange, WebhookEvent
from payments.sql import dialect


class _Write(NamedTuple):
    """A statement that writes these columns of a model's rows."""

    model: type[Model]
    columns: str
    template: str


class ChangedError(Exception):
    """What was read has changed since, and nothing was written: read it again."""


class Additions(NamedTuple):
    """What is written: new events, payment intents, changes of statuses and notifications, and payments as they are now.

    `news` tell of the `announced` changes, in their order.
    """

    events: Sequence[WebhookEvent]
    payments: Sequence[Payment]
    intents: Sequence[Intent]
    changes: Sequence[StatusChange]
    announced: Sequence[StatusChange]
    news: feed.Prepared
    versions: Mapping[uuid.UUID, str] | None = None
    """Of all payments that were read, if they are not locked. What is not as it was read makes nothing be written."""
    briefly: bool = False
    """Whether to wait for a lock for a quarter of a second at most."""


_INSERT = "INSERT INTO {table} ({columns}) SELECT {columns} FROM {new} WHERE {after}"
_UPDATE = """
    WITH new AS (SELECT * FROM {new}) UPDATE {table} SET {changes} FROM new
    WHERE {table}.id = new.id AND {table}.id {new_ids} AND {after} RETURNING 1
"""
_NEW_EVENTS = _Write(
    WebhookEvent,
    "event_id type body api_version livemode object_id payment_intent_id created_at received_at deliveries state"
    " attempts applied_at reason error payment_id",
    f"{_INSERT} RETURNING event_id, id",
)
_EVENTS = _Write(
    WebhookEvent, "id state reason attempts applied_at error payment_id payment_intent_id", _UPDATE
)
_PAYMENTS = _Write(Payment, "id facts status attention ride_claim session_id payment_intent_id", _UPDATE)
# A payment intent stays where it was first found: NULL fails the statement where it is another payment's. One of another
# integration can turn out to be ours.
_INTENTS = _Write(
    Intent,
    "intent_id payment_id created_at",
    f"{_INSERT} ON CONFLICT (intent_id) DO UPDATE SET payment_id = EXCLUDED.payment_id, created_at = CASE"
    " WHEN coalesce(payments_intent.payment_id, EXCLUDED.payment_id) = EXCLUDED.payment_id"
    " THEN payments_intent.created_at END WHERE EXCLUDED.payment_id IS NOT NULL RETURNING 1",
)
_CHANGES = _Write(StatusChange, "payment_id before after cause api_key event_id seq created_at", _INSERT)
# In one statement with its event and its notification a change is given their numbers there.
_CHANGES_IN_ONE = """
    INSERT INTO payments_statuschange (payment_id, before, after, cause, api_key, event_id, seq, created_at)
    SELECT payment_id, before, after, cause, api_key, {event}, {seq}, created_at FROM json_to_recordset(%s) AS new (
        payment_id uuid, before text, after text, cause text, api_key text, event_id bigint, seq bigint, created_at timestamptz,
        event text, place integer
    ) WHERE {after}
"""
# What another transaction has locked is about to change.
_UNCHANGED = """
    seen AS (SELECT * FROM json_to_recordset(%s) AS seen (id uuid, version text)),
    unchanged AS (
        SELECT id FROM payments_payment WHERE id = ANY (ARRAY(SELECT id FROM seen))
        AND xmin::text = (SELECT version FROM seen WHERE seen.id = payments_payment.id)
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
    )
"""
_EVENT = "coalesce(new.event_id, (SELECT id FROM event WHERE event.event_id = new.event))"
_SEQ = "(SELECT numbered.seq FROM numbered WHERE numbered.place = new.place)"
_RETURNED = {
    "event": "SELECT 'event' AS part, event_id AS key, id AS number, NULL AS segment FROM event",
    "feed": "SELECT 'feed', place::text, seq, segment FROM ({numbered}) AS written",
}


def update_events(rows: Sequence[WebhookEvent]) -> None:
    """Write what became of stored events."""
    if rows:
        execute(_text(_EVENTS, after="true"), _json(_EVENTS, rows))


def write(new: Additions) -> feed.Numbers:
    """Write what events add; return the notifications' numbers.

    The caller is in a transaction and has locked the payments, or gives their versions, on PostgreSQL. Sets the primary
    keys of events, and the numbers of notifications in changes. Raises ChangedError, and IntegrityError where an event
    is stored already or a payment intent is another payment's.
    """
    in_order = sorted(new.events, key=attrgetter("event_id"))  # or two workers could wait for each other
    new = new._replace(events=in_order)
    return _in_one(new) if connection.vendor == "postgresql" else _one_by_one(new)


def _in_one(new: Additions) -> feed.Numbers:
    rows = {
        "unchanged": _versions_json(new.versions) if new.versions else "",
        "event": _json(_NEW_EVENTS, new.events) if new.events else "",
        "feed": new.news.rows if new.news.new else "",
        "payment": _json(_PAYMENTS, new.payments) if new.payments else "",
        "intent": _json(_INTENTS, new.intents) if new.intents else "",
        "change": _changes_json(new) if new.changes else "",
    }
    parts = tuple(name for name, value in rows.items() if value)
    text = _statement(parts, briefly=new.briefly)
    returned = execute(text, *(rows[name] for name in parts)) if parts else []
    if len(returned) < len(new.events):
        raise ChangedError
    in_order = sorted(
        (int(key), int(number), segment) for part, key, number, segment in returned if part == "feed"
    )
    numbers = feed.Numbers([seq for _, seq, _ in in_order], in_order[0][2] if in_order else None)
    _number(new, {key: int(number) for part, key, number, _ in returned if part == "event"}, numbers.seqs)
    return numbers


def _one_by_one(new: Additions) -> feed.Numbers:
    made = dict(_execute(_NEW_EVENTS, new.events))
    numbers = feed.write(new.news)
    _number(new, made, numbers.seqs)
    for change in new.changes:
        change.event = change.event  # it has its primary key now
    _execute(_PAYMENTS, new.payments)
    _execute(_INTENTS, new.intents)
    _execute(_CHANGES, new.changes)
    return numbers


def _number(new: Additions, made: dict[str, int], seqs: Sequence[int]) -> None:
    for row in new.events:
        row.pk = made[row.event_id]
    for change, seq in zip(new.announced, seqs, strict=True):
        change.seq = seq


@cache
def _statement(parts: tuple[str, ...], *, briefly: bool) -> str:
    """Return the statement that has these parts. Each begins once the one before it has written its rows."""
    texts, after = [], dialect("{briefly}") if briefly else "true"
    event, seq = _EVENT if "event" in parts else "event_id", _SEQ if "feed" in parts else "seq"
    for part in parts:
        match part:
            case "unchanged":
                texts.append(_UNCHANGED)
            case "feed":
                texts.append(feed.PART.format(after=after))
            case "change":
                texts.append(f"change AS ({_CHANGES_IN_ONE.format(event=event, seq=seq, after=after)})")
            case _:
                write = {"event": _NEW_EVENTS, "payment": _PAYMENTS, "intent": _INTENTS}[part]
                texts.append(f"{part} AS ({_text(write, after=after)})")
        if part == "unchanged":
            after += " AND (SELECT count(*) FROM unchanged) = (SELECT count(*) FROM seen)"
        elif part != "intent":  # one that is known already is left out
            after = f"(SELECT count(*) FROM {part}) > 0"
    returned = " UNION ALL ".join(_RETURNED[part] for part in parts if part in _RETURNED).format(
        numbered=feed.numbered()
    )
    return f"WITH {', '.join(texts)} {returned or 'SELECT WHERE false'}"


@cache
def _text(write: _Write, *, after: str) -> str:
    """Return the statement; its parameter is a table `new` in it."""
    table, columns = write.model._meta.db_table, write.columns.split()
    new = f"json_populate_recordset(NULL::{table}, %s) AS new"
    if connection.vendor != "postgresql":
        values = ", ".join(f"json_extract(value, '$.{column}') AS {column}" for column in columns)
        new = f"(SELECT {values} FROM json_each(%s)) AS new"
    text = write.template.format(
        table=table,
        columns=", ".join(columns),
        changes=", ".join(f"{column} = new.{column}" for column in columns[1:]),
        new=new,
        new_ids="{new_ids}",
        after=after,
    )
    return dialect(text)


def _execute(write: _Write, rows: Sequence[Model]) -> list[tuple[Any, ...]]:
    return execute(_text(write, after="true"), _json(write, rows)) if rows else []


def _json(write: _Write, rows: Sequence[Model]) -> str:
    return orjson.dumps(_values(write, rows)).decode()


def _changes_json(new: Additions) -> str:
    """Return the values of changes, each with the id of its event and the place of its notification, if it has them."""
    values = _values(_CHANGES, new.changes)
    places = {id(change): place for place, change in enumerate(new.announced)}
    for value, change in zip(values, new.changes, strict=True):
        value |= {"event": change.event and change.event.event_id, "place": places.get(id(change))}
    return orjson.dumps(values).decode()


def _versions_json(versions: Mapping[uuid.UUID, str]) -> str:
    return orjson.dumps([{"id": key, "version": version} for key, version in versions.items()]).decode()


def _values(write: _Write, rows: Sequence[Model]) -> list[dict[str, Any]]:
    """Return the values of rows. PostgreSQL makes dates, UUIDs and JSON of text itself."""
    fields: list[Any] = [write.model._meta.get_field(column) for column in write.columns.split()]
    values = [{field.column: field.pre_save(row, row._state.adding) for field in fields} for row in rows]
    if connection.vendor != "postgresql":
        for row in values:
            row |= {field.column: field.get_db_prep_save(row[field.column], connection) for field in fields}
    return values

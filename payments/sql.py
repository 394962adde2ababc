"""The statements that an event passes, as text; everything else in this app uses Django's own.

Each takes any number of rows or keys as one parameter in JSON, which the database unpacks. Django would build its text and
adapt its values anew each time, at ten times the cost (docs/decisions/0017-statements-past-the-orm.md).
"""

import uuid
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, NamedTuple

import orjson
from django.db import connection
from django.db.models import Model

from database.prepared import execute
from payments.models import Intent, Payment, StatusChange, WebhookEvent

# PostgreSQL expects 100 rows of a function, and reads a whole table to join them. Of a list it expects few.
_POSTGRESQL = {
    "uuids": "= ANY (ARRAY(SELECT value::uuid FROM json_array_elements_text(%s) AS value))",
    "texts": "= ANY (ARRAY(SELECT value FROM json_array_elements_text(%s) AS value))",
    "new_ids": "= ANY (ARRAY(SELECT id FROM new))",
    # No one changes a payment's id, so that rows which refer to it can be inserted meanwhile.
    "locked": "FOR NO KEY UPDATE",
}
_SQLITE = {
    "uuids": "IN (SELECT value FROM json_each(%s))",
    "texts": "IN (SELECT value FROM json_each(%s))",
    "new_ids": "IN (SELECT id FROM new)",
    "locked": "",
}

# In the order in which the model defines them: Django takes their values so.
_MATCHED = "id ride_id user_id status facts attention session_id payment_intent_id ride_claim".split()
_LOCK_PAYMENTS = (
    f"SELECT {', '.join(_MATCHED)} FROM payments_payment WHERE id {{uuids}} ORDER BY id {{locked}}"
)
# With OR in place of UNION no index may serve either side.
_OWNERS = """
    SELECT intent_id, payment_id FROM payments_intent WHERE intent_id {texts}
    UNION ALL SELECT session_id, id FROM payments_payment WHERE session_id {texts}
"""
_PARKED = """
    SELECT 1 FROM payments_webhookevent WHERE state = 'parked' AND payment_intent_id {texts}
    UNION ALL SELECT 1 FROM payments_webhookevent WHERE state = 'parked' AND payment_id {uuids} LIMIT 1
"""
_INSERT = "INSERT INTO {table} ({columns}) SELECT {columns} FROM {new} WHERE true"
_UPDATE = """
    WITH new AS (SELECT * FROM {new}) UPDATE {table} SET {changes} FROM new
    WHERE {table}.id = new.id AND {table}.id {new_ids}
"""


class _Write(NamedTuple):
    """A statement that writes these columns of a model's rows."""

    model: type[Model]
    columns: str
    template: str


_NEW_EVENTS = _Write(
    WebhookEvent,
    "event_id type body api_version livemode object_id payment_intent_id created_at received_at deliveries state"
    " attempts applied_at reason error payment_id",
    f"{_INSERT} ON CONFLICT (event_id) DO NOTHING RETURNING event_id, id",
)
_EVENTS = _Write(
    WebhookEvent, "id state reason attempts applied_at error payment_id payment_intent_id", _UPDATE
)
_PAYMENTS = _Write(Payment, "id facts status attention ride_claim session_id payment_intent_id", _UPDATE)
_CHANGES = _Write(StatusChange, "payment_id before after cause api_key event_id seq created_at", _INSERT)
# A payment intent stays where it was first found. One of another integration can turn out to be ours.
_INTENTS = _Write(
    Intent,
    "intent_id payment_id created_at",
    f"{_INSERT} ON CONFLICT (intent_id) DO UPDATE SET payment_id = EXCLUDED.payment_id"
    " WHERE payments_intent.payment_id IS NULL AND EXCLUDED.payment_id IS NOT NULL RETURNING intent_id",
)


def wait_briefly() -> None:
    """Let this transaction wait for a lock for a quarter of a second, and not as long as the settings say."""
    if connection.vendor == "postgresql":
        execute("SET LOCAL lock_timeout = '250ms'")


def lock_payments(keys: Collection[uuid.UUID]) -> dict[uuid.UUID, Payment]:
    """Return the payments with these ids, locked until the commit in the order of their ids.

    Only what an event is matched and applied by is read; Django reads other fields when they are asked for.
    """
    rows = execute(_text(_LOCK_PAYMENTS), _keys(keys)) if keys else []
    payments = {}
    for pk, ride_id, user_id, status, facts, *rest in rows:
        values = [uuid.UUID(pk), ride_id, user_id, status, orjson.loads(facts), *rest]
        payments[values[0]] = Payment.from_db(connection.alias, _MATCHED, values)
    return payments


def owners(names: Collection[str]) -> dict[str, uuid.UUID | None]:
    """Return by session or payment intent the payment that it belongs to; None: another integration's."""
    rows = execute(_text(_OWNERS), _keys(names), _keys(names)) if names else []
    return {name: uuid.UUID(key) if key else None for name, key in rows}


def is_parked(*, payments: Collection[uuid.UUID], intents: Collection[str]) -> bool:
    """Tell whether an event is parked that names one of these payments or payment intents."""
    return bool(execute(_text(_PARKED), _keys(intents), _keys(payments)))


def insert_events(rows: Sequence[WebhookEvent]) -> list[str]:
    """Insert events and set their primary keys; return the ids of those that are left out, as they are there already."""
    made = dict(_execute((_NEW_EVENTS, rows)))
    for row in rows:
        row.pk = int(made[row.event_id]) if row.event_id in made else None
    return [row.event_id for row in rows if row.pk is None]


def update_events(rows: Sequence[WebhookEvent]) -> None:
    """Write what became of events."""
    _execute((_EVENTS, rows))


def save(
    *, payments: Sequence[Payment], changes: Sequence[StatusChange], intents: Sequence[Intent]
) -> set[str]:
    """Write payments, insert changes of statuses, and give payment intents to their payments.

    Returns the ids of the intents that have no other payment. On PostgreSQL it is one statement.
    """
    return {name for (name,) in _execute((_PAYMENTS, payments), (_CHANGES, changes), (_INTENTS, intents))}


def _execute(*writes: tuple[_Write, Sequence[Model]]) -> list[tuple[Any, ...]]:
    """Execute writes that do not depend on each other; return the rows that the last returns."""
    texts = [_write_text(write) for write, rows in writes if rows]
    values = [_json(write, rows) for write, rows in writes if rows]
    if connection.vendor == "postgresql" and len(texts) > 1:
        parts = ", ".join(f"part_{number} AS ({text})" for number, text in enumerate(texts[:-1]))
        return execute(f"WITH {parts} {texts[-1]}", *values)
    returned: list[tuple[Any, ...]] = []
    for text, value in zip(texts, values, strict=True):
        returned = execute(text, value)
    return returned


@cache
def _text(template: str) -> str:
    return template.strip().format_map(_POSTGRESQL if connection.vendor == "postgresql" else _SQLITE)


@cache
def _write_text(write: _Write) -> str:
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
    )
    return _text(text)


def _json(write: _Write, rows: Sequence[Model]) -> str:
    """Return the values of rows. PostgreSQL makes dates, UUIDs and JSON of text itself."""
    fields: list[Any] = [write.model._meta.get_field(column) for column in write.columns.split()]
    values = [{field.column: field.pre_save(row, row._state.adding) for field in fields} for row in rows]
    if connection.vendor != "postgresql":
        for row in values:
            row |= {field.column: field.get_db_prep_save(row[field.column], connection) for field in fields}
    return orjson.dumps(values).decode()


def _keys(values: Collection[uuid.UUID] | Collection[str]) -> str:
    return orjson.dumps([value.hex if isinstance(value, uuid.UUID) else value for value in values]).decode()

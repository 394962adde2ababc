"""The text of what an event writes, and a new payment: on PostgreSQL one statement of several parts, on SQLite one for each.

payments/tests/webhooks/statements.sql has the statements as they are sent.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from django.db.models import Model

from database.prepared import is_postgresql
from notifications import feed
from payments.models import Intent, Payment, RefundRequest, StatusChange, WebhookEvent
from payments.sql import dialect


class Write(NamedTuple):
    """A statement that writes these columns of a model's rows."""

    model: type[Model]
    columns: str
    template: str
    made_at: str = ""
    """The column for the time at which a row is made."""


_INSERT = "INSERT INTO {table} ({columns}) SELECT {columns} FROM {new} WHERE {after}"
# The list of ids changes no result. It has PostgreSQL use the index: see `sql`. The next part counts what is
# returned.
_UPDATE = """
    WITH new AS (SELECT * FROM {new}) UPDATE {table} SET {changes} FROM new
    WHERE {table}.id = new.id AND {table}.id {new_ids} AND {after} RETURNING 1
"""
NEW_EVENTS = Write(
    WebhookEvent,
    "event_id type body api_version livemode object_id payment_intent_id created_at received_at deliveries state"
    " attempts applied_at reason error payment_id",
    f"{_INSERT} RETURNING event_id, id",
    made_at="received_at",
)
EVENTS = Write(
    WebhookEvent, "id state reason attempts applied_at error payment_id payment_intent_id", _UPDATE
)
# Only these columns: what a request writes meanwhile, such as a link, is not overwritten.
PAYMENTS = Write(Payment, "id facts status attention ride_claim session_id payment_intent_id", _UPDATE)
# A payment intent stays where it was first found: NULL fails the statement where it is another payment's. One of
# another integration can turn out to be ours.
INTENTS = Write(
    Intent,
    "intent_id payment_id created_at",
    f"{_INSERT} ON CONFLICT (intent_id) DO UPDATE SET payment_id = EXCLUDED.payment_id, created_at = CASE"
    " WHEN coalesce(payments_intent.payment_id, EXCLUDED.payment_id) = EXCLUDED.payment_id"
    " THEN payments_intent.created_at END WHERE EXCLUDED.payment_id IS NOT NULL RETURNING 1",
)
CHANGES = Write(StatusChange, "payment_id before after cause api_key event_id seq created_at", _INSERT)
# What Stripe answered first stays. Only its own request has all three: a restored database gives numbers out again.
REFUNDS = Write(
    RefundRequest,
    "id refund_id refund_status amount payment_id",
    """
    WITH new AS (SELECT * FROM {new})
    UPDATE {table} SET refund_id = new.refund_id, refund_status = new.refund_status FROM new
    WHERE {table}.id = new.id AND {table}.id {new_ids} AND {after} AND {table}.refund_id = ''
    AND {table}.amount = new.amount AND {table}.payment_id = new.payment_id RETURNING 1
    """,
)
NEW_PAYMENTS = Write(
    Payment,
    " ".join(field.attname for field in Payment._meta.concrete_fields),
    _INSERT + " RETURNING {version}",
    made_at="created_at",
)
LINKS = Write(Payment, "id session_id payment_url expires_at stripe_error link_seq", _UPDATE)
_PARTS = {"event": NEW_EVENTS, "payment": PAYMENTS, "intent": INTENTS, "refund": REFUNDS, "link": LINKS}

# In one statement with its event and its notification a change is given their numbers there.
_CHANGES_IN_ONE = """
    INSERT INTO {table} ({columns}) SELECT {values} FROM json_array_elements(%s) AS item,
    json_populate_record(NULL::{table}, item) AS new WHERE {after}
"""
_EVENT = "coalesce(new.event_id, (SELECT id FROM event WHERE event.event_id = item ->> 'event'))"
_SEQ = "(SELECT numbered.seq FROM numbered WHERE numbered.place = (item ->> 'place')::integer)"
# What another transaction has locked is about to change.
_UNCHANGED = """
    seen AS (SELECT * FROM json_to_recordset(%s) AS seen (id uuid, version text)),
    unchanged AS (
        SELECT id FROM payments_payment WHERE id = ANY (ARRAY(SELECT id FROM seen))
        AND xmin::text = (SELECT version FROM seen WHERE seen.id = payments_payment.id)
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
    )
"""
_RETURNED = {
    "event": "SELECT 'event' AS part, event_id AS key, id AS number, NULL AS segment FROM event",
    "feed": "SELECT 'feed', place::text, seq, segment FROM ({numbered}) AS written",
}


@cache
def together(parts: tuple[str, ...], *, briefly: bool) -> str:
    """Return PostgreSQL's statement that has these parts. Each begins once the one before it has written its rows.

    The parts, in the order in which they lock: `unchanged`, `event`, `feed`, `payment`, `intent`, `change`, `refund`; or
    `unchanged`, `feed` and `link`, where the notification's number becomes the payment's `link_seq`. Each has one
    parameter. Where nothing is written in one of them, the next ones write nothing.
    """
    # The limit for locks is set by the first condition, and so before any part locks.
    texts, after = [], dialect("{briefly}") if briefly else "true"
    for part in parts:
        if part == "unchanged":
            texts.append(_UNCHANGED)
            after += " AND (SELECT count(*) FROM unchanged) = (SELECT count(*) FROM seen)"
            continue
        if part == "feed":
            # The feed lends its part as text, so that this app need not know its tables.
            texts.append(feed.PART.format(after=after))
        else:
            text = _changes(parts, after=after) if part == "change" else one(_PARTS[part], after=after)
            text = text.replace("new.link_seq", "(SELECT seq FROM numbered)")
            texts.append(f"{part} AS ({text})")
        if part in {"event", "feed", "payment"}:  # of the others one that is known already writes no row
            after = f"(SELECT count(*) FROM {part}) > 0"
    # A statement that begins with WITH needs a query at its end, even if nothing is to be returned.
    returned = " UNION ALL ".join(_RETURNED[part] for part in parts if part in _RETURNED).format(
        numbered=feed.numbered()
    )
    return f"WITH {', '.join(texts)} {returned or 'SELECT WHERE false'}"


@cache
def one(write: Write, *, after: str = "true") -> str:
    """Return the statement; its parameter is a table `new` in it. `after`: what it waits for within a larger one."""
    table, columns = write.model._meta.db_table, write.columns.split()
    new = f"json_populate_recordset(NULL::{table}, %s) AS new"
    if not is_postgresql():
        values = ", ".join(f"json_extract(value, '$.{column}') AS {column}" for column in columns)
        new = f"(SELECT {values} FROM json_each(%s)) AS new"
    text = write.template.format(
        table=table,
        columns=", ".join(columns),
        changes=", ".join(f"{column} = new.{column}" for column in columns[1:]),
        new=new,
        new_ids="{new_ids}",  # these two are filled in by `dialect`
        version="{version}",
        after=after,
    )
    return dialect(text)


def _changes(parts: Sequence[str], *, after: str) -> str:
    columns = CHANGES.columns.split()
    values = {column: f"new.{column}" for column in columns}
    if "event" in parts:
        values["event_id"] = _EVENT
    if "feed" in parts:
        values["seq"] = _SEQ
    return _CHANGES_IN_ONE.format(
        table=CHANGES.model._meta.db_table,
        columns=", ".join(columns),
        values=", ".join(values.values()),
        after=after,
    )

"""What an event and a new payment read, as text; `writes` has what they write. All else here uses Django's own statements.

Each takes any number of rows or keys as one parameter in JSON, which the database unpacks. Django would build its text
and adapt its values anew each time, at ten times the cost (docs/decisions/0017-statements-past-the-orm.md).
"""

import uuid
from collections.abc import Collection, Iterable
from functools import cache
from typing import NamedTuple

import orjson
from django.db import DEFAULT_DB_ALIAS

from database.prepared import execute, is_postgresql
from payments.facts import Facts
from payments.models import Payment

# In the order in which the model defines them: Django takes their values so.
_MATCHED = "id ride_id user_id status facts attention session_id payment_intent_id ride_claim".split()
_COLUMNS = ", ".join(_MATCHED)
_IN_JSON = ", ".join(f"'{name}', {'json(facts)' if name == 'facts' else name}" for name in _MATCHED)

_UNIQUE = {
    "intents": ("payments_intent", "intent_id"),
    "sessions": ("payments_payment", "session_id"),
    "events": ("payments_webhookevent", "event_id"),
}
# PostgreSQL expects 100 rows of a function, and reads a whole table to join them. Of a list it expects ten. For ten it
# reads a small table whole too, and keeps that plan while the table grows, until it is analyzed. So what is unique is
# looked up for one value after another.
_EACH = "json_array_elements_text(%s) AS value CROSS JOIN LATERAL (SELECT * FROM {} WHERE {} = value LIMIT 1) AS {}"
_POSTGRESQL = {
    **{name: _EACH.format(*unique, name) for name, unique in _UNIQUE.items()},
    "uuids": "= ANY (ARRAY(SELECT value::uuid FROM json_array_elements_text(%s) AS value))",
    "texts": "= ANY (ARRAY(SELECT value FROM json_array_elements_text(%s) AS value))",
    "payments": "(SELECT value::uuid AS key FROM json_array_elements_text(%s) AS value UNION SELECT id FROM owner)"
    " AS named CROSS JOIN LATERAL (SELECT xmin, * FROM payments_payment WHERE id = key LIMIT 1) AS payments",
    "named_or_owners": "= ANY (ARRAY(SELECT value::uuid FROM json_array_elements_text(%s) AS value"
    " UNION ALL SELECT id FROM owner))",
    "new_ids": "= ANY (ARRAY(SELECT id FROM new))",
    # No one changes a payment's id, so that rows which refer to it can be inserted meanwhile.
    "locked": "FOR NO KEY UPDATE",
    # The transaction that wrote the row last: every write changes it, whoever writes.
    "version": "xmin::text",
    "in_json": "to_json(payment)::text",
    "briefly": "(SELECT set_config('lock_timeout', '250ms', true)) IS NOT NULL",
}
_SQLITE = {
    **{
        name: f"{table} WHERE {column} IN (SELECT value FROM json_each(%s))"
        for name, (table, column) in _UNIQUE.items()
    },
    "uuids": "IN (SELECT value FROM json_each(%s))",
    "texts": "IN (SELECT value FROM json_each(%s))",
    "payments": "payments_payment WHERE id IN (SELECT value FROM json_each(%s) UNION ALL SELECT id FROM owner)",
    "named_or_owners": "IN (SELECT value FROM json_each(%s) UNION ALL SELECT id FROM owner)",
    "new_ids": "IN (SELECT id FROM new)",
    "locked": "",
    "version": "NULL",
    "in_json": f"json_object({_IN_JSON})",
    "briefly": "true",
}

# With OR in place of UNION no index may serve either side.
_LOOK_UP = f"""
    WITH owner AS (
        SELECT intent_id AS name, payment_id AS id FROM {{intents}} UNION ALL SELECT session_id, id FROM {{sessions}}
    ), payment AS (
        SELECT {{version}} AS version, {_COLUMNS} FROM {{payments}}
    )
    SELECT 'payment' AS part, version AS name, {{in_json}} AS value FROM payment
    UNION ALL SELECT 'owner', name, CAST(id AS text) FROM owner
    UNION ALL SELECT 'event', event_id, NULL FROM {{events}}
"""
# In the order of their ids, so that no two transactions wait for each other.
_LOCK = _LOOK_UP.replace("{payments}", "payments_payment WHERE id {named_or_owners} ORDER BY id {locked}")
# The limit travels in the statement that locks: a statement of its own would be one more round trip.
_LOCK_BRIEFLY = _LOCK.replace("ORDER BY", "AND {briefly} ORDER BY")
_PARKED = """
    SELECT 1 FROM payments_webhookevent WHERE state = 'parked' AND payment_intent_id {texts}
    UNION ALL SELECT 1 FROM payments_webhookevent WHERE state = 'parked' AND payment_id {uuids} LIMIT 1
"""
_OF_RIDE = "SELECT id, ride_claim, facts FROM payments_payment WHERE ride_id = %s ORDER BY created_at"


class Found(NamedTuple):
    """What a look into the database found."""

    payments: dict[uuid.UUID, Payment]
    owners: dict[str, uuid.UUID | None]
    """By session or payment intent the payment that it belongs to; None: another integration's."""
    stored: set[str]
    """The ids of events that are stored."""
    versions: dict[uuid.UUID, str]
    """Of the payments as they were read: see `writes.Additions`."""


def wait_briefly() -> None:
    """Let this transaction wait for a lock for a quarter of a second, and not as long as the settings say."""
    if is_postgresql():
        execute("SET LOCAL lock_timeout = '250ms'")


def look_up(
    *,
    keys: Collection[uuid.UUID],
    names: Collection[str],
    event_ids: Collection[str],
    lock: bool,
    briefly: bool,
) -> Found:
    """Return payments, whose sessions and payment intents they are, and which of these events are stored.

    The payments are those with these ids and those that own one of these names. `lock`: until the commit, in the order
    of their ids. `briefly`: from now on the transaction waits for a lock for a quarter of a second at most.

    Only the fields by which an event is matched and applied are read. Django reads another one when it is asked for.
    """
    found = Found({}, {}, set(), {})
    text = dialect(_LOOK_UP if not lock else _LOCK_BRIEFLY if briefly else _LOCK)
    named = _texts(names)
    for part, name, value in execute(text, named, named, _uuids(keys), _texts(event_ids)):
        if part == "event":
            found.stored.add(name)
        elif part == "owner":
            found.owners[name] = value and uuid.UUID(value)
        else:
            row = orjson.loads(value)
            key = row["id"] = uuid.UUID(row["id"])
            found.versions[key] = name
            values = [row[column] for column in _MATCHED]
            found.payments[key] = Payment.from_db(DEFAULT_DB_ALIAS, _MATCHED, values)
    return found


def is_parked(*, payments: Collection[uuid.UUID], intents: Collection[str]) -> bool:
    """Return whether an event is parked that names one of these payments or payment intents."""
    return bool(execute(dialect(_PARKED), _texts(intents), _uuids(payments)))


def of_ride(ride_id: str) -> list[tuple[str, str | None, Facts]]:
    """Return the id, the ride that it claims, and the facts of each payment of a ride, the oldest first."""
    return [(key, claim, orjson.loads(facts)) for key, claim, facts in execute(_OF_RIDE, ride_id)]


@cache
def dialect(template: str) -> str:
    """Return a statement as the database in use writes it."""
    return template.strip().format_map(_POSTGRESQL if is_postgresql() else _SQLITE)


def _texts(values: Iterable[str]) -> str:
    return orjson.dumps(list(values)).decode()


def _uuids(values: Iterable[uuid.UUID]) -> str:
    # SQLite keeps a UUID as these 32 digits, and PostgreSQL reads them as one.
    return _texts(value.hex for value in values)

"""The statements that each request with a stored key passes, as text, for the reason of docs/decisions/0017.

Django's ORM would add a sixth to the function calls that creating a payment takes; these add a fiftieth.
"""

from typing import NamedTuple

from django.db import connection

from database.prepared import execute

# '1' or NULL, because PostgreSQL's booleans come as the texts t and f, which are both true in Python.
_READ = """
    SELECT id, name, digest, scopes,
           CASE WHEN revoked_at IS NULL AND (expires_at IS NULL OR {end} > {now}) THEN '1' END,
           CASE WHEN {due} THEN '1' END
    FROM access_apikey WHERE key_id = %s
"""
_NOTE = "UPDATE access_apikey SET last_used_at = {now} WHERE id = {unlocked}"

# The database's clock is one for all processes.
_POSTGRESQL = {
    # Not now(), which is when the transaction began: a key may have been revoked or noted since.
    "now": "statement_timestamp()",
    "end": "expires_at",
    "due": "(last_used_at IS NULL OR last_used_at <= statement_timestamp() - interval '1 minute')",
}
_SQLITE = {
    "end": "substr(expires_at, 1, 23)",  # its clock has milliseconds, and Django writes microseconds
    "now": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')",
    "due": "(last_used_at IS NULL OR last_used_at <= strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-1 minute'))",
}
# A transaction that changes the key at the same time is not waited for: PostgreSQL would wait for its lock.
_UNLOCKED = (
    f"(SELECT id FROM access_apikey WHERE id = %s AND {_POSTGRESQL['due']} FOR NO KEY UPDATE SKIP LOCKED)"  # noqa: S608 made of constants
)
_TEXTS = {
    "postgresql": (_READ.format(**_POSTGRESQL), _NOTE.format(**_POSTGRESQL, unlocked=_UNLOCKED)),
    "sqlite": (_READ.format(**_SQLITE), _NOTE.format(**_SQLITE, unlocked=f"%s AND {_SQLITE['due']}")),
}


class StoredKey(NamedTuple):
    """The part of a key's row that a request needs. `is_usable`: it is neither revoked nor expired."""

    pk: str
    name: str
    digest: str
    scopes: str
    is_usable: bool
    is_use_due: bool
    """Whether its last use was noted a minute ago or earlier."""


def read(key_id: str) -> StoredKey | None:
    """Return the key with this id."""
    for pk, name, digest, scopes, is_usable, is_due in execute(_TEXTS[connection.vendor][0], key_id):
        return StoredKey(str(pk), name, digest, scopes, bool(is_usable), bool(is_due))
    return None


def note_use(pk: str) -> None:
    """Write that a key is used now, unless that was done in the last minute, or another transaction has its lock."""
    execute(_TEXTS[connection.vendor][1], pk)

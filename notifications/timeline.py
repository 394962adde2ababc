"""SQL that says which database answers a statement, and how far its log has come.

PostgreSQL's timeline grows with each promotion and each recovery to a point in time
(https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES). A copy of the volume brings an old
timeline or an old end of the log back. A dump that is restored keeps both, but is another cluster, database or table.
"""

from functools import cache
from typing import NamedTuple

from django.db import InternalError, NotSupportedError, ProgrammingError, connection, transaction

# pg_control_checkpoint() has the timeline too, but only after the checkpoint that ends a recovery.
_OF_PRIMARY = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
# PostgreSQL raises an error for these functions on a standby, so they are asked for on a primary alone.
_TIMELINE = f"CASE WHEN pg_is_in_recovery() THEN '' ELSE {_OF_PRIMARY} END"
# The position that is flushed: a crash may lose what was only written, and would look like an older volume.
_POSITION = (
    "CASE WHEN pg_is_in_recovery() THEN 0 ELSE (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint END"
)
_TABLE = (
    "(SELECT oid FROM pg_database WHERE datname = current_database())"
    " || '/' || to_regclass('notifications_installation')::oid"
)
_CLUSTER = "(SELECT system_identifier FROM pg_control_system()) || '/' || "
_NOT_READABLE = (ProgrammingError, NotSupportedError, InternalError)
"""Errors of a database that has none of this, or does not let this role read it."""


class Expressions(NamedTuple):
    """SQL expressions. A database that has no timelines, or does not let this role read them, has NULL and 0.

    `timeline`: eight hexadecimal digits; an empty text on a standby.
    `position`: the bytes of the log that are safe on disk. On one timeline it grows, unless an old volume comes back.
    `place`: the cluster, the database and the table.
    """

    timeline: str
    position: str
    place: str


_NOTHING = Expressions("NULL", "0", "''")
_CHOICES = (
    Expressions(_TIMELINE, _POSITION, _CLUSTER + _TABLE),
    Expressions(_TIMELINE, _POSITION, _TABLE),  # pg_control_system() can be denied by itself
)


@cache
def expressions() -> Expressions:
    """Return the expressions that this role can read. The database is asked once. Raises a DatabaseError."""
    choices = _CHOICES if connection.vendor == "postgresql" else ()
    return next((choice for choice in choices if _can_read(choice)), _NOTHING)


def of_writer() -> str:
    """Return the SQL expression of the timeline for a statement that writes, and so is on no standby.

    It costs 4 µs, where the mark costs 9.
    """
    return "NULL" if expressions() is _NOTHING else _OF_PRIMARY


def mark() -> str:
    """Return the SQL query for the mark of the current epoch: the random text of the row, and the timeline.

    It is cheap enough for each read of numbers.
    """
    return (
        f"SELECT epoch || coalesce('-' || {expressions().timeline}, '') "  # noqa: S608 made of constants
        "FROM notifications_installation WHERE id = 1"
    )


def _can_read(choice: Expressions) -> bool:
    try:
        # In a block of its own: after an error PostgreSQL refuses all further statements of a transaction.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT {}, {}, {}".format(*choice))
    except _NOT_READABLE:
        return False
    return True

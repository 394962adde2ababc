"""Which installation this is, and the epoch of its numbers, both read from the database.

Numbers of feeds are given again after a database has lost commits: a failover to a standby that was behind, or a
restore. What was numbered before and what is numbered since must not be taken for each other. So the numbers have
an epoch, which changes by `manage.py new_epoch`, by a feed that is found to have lost numbers (notifications/delivery/losses.py),
and with PostgreSQL's timeline, which each promotion and each recovery to a point in time counts up
(https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES).
"""

import secrets
import time
from typing import Any, NamedTuple

from django.db import (
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)

from notifications.models import Installation

FRESH_SECONDS = 2.0
"""How long what was read is used. A process that has sockets reads it each second."""

_ROW = "SELECT name, epoch, first_epoch, {} FROM notifications_installation WHERE id = 1"
# The control file says it too, but not before the checkpoint that ends a recovery is complete.
_TIMELINE = (
    "CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END"
)
_NOT_READABLE = (ProgrammingError, NotSupportedError, InternalError)
"""What a database says that does not let this role ask, or that knows no timelines."""
_Row = tuple[str, str, str, str | None]


class Identity(NamedTuple):
    """An installation's name, random and made once, and the epoch of its numbers. Both are opaque.

    `is_first`: no other epoch was before it, so that a number of which nobody says the epoch is of this one.
    """

    name: str
    epoch: str
    is_first: bool


def read() -> Identity:
    """Read it, from the server that the statements before and after are sent to.

    Raises a DatabaseError, as for a standby that only replays what another server writes: it may be behind.
    """
    name, random, first, segment = _row() or _made()
    epoch = _with_timeline(random, segment)
    identity = Identity(name, epoch, is_first=epoch == first)
    _memory.latest = identity, time.monotonic()
    return identity


def fresh() -> Identity | None:
    """Return what was read within FRESH_SECONDS, if it was."""
    identity, at = _memory.latest
    return identity if time.monotonic() - at < FRESH_SECONDS else None


def current() -> Identity:
    """Return what was read within FRESH_SECONDS, or read it. Raises a DatabaseError."""
    return fresh() or read()


def known() -> Identity | None:
    """Return what was read last, if anything was."""
    return _memory.latest[0]


def renew() -> Identity:
    """Make it another installation, with a new epoch. Clients come back and are told that they cannot resume."""
    with transaction.atomic():
        Installation.objects.update_or_create(pk=1, defaults={"name": _random(), "epoch": _random()})
    return read()


def begin_epoch(*, instead_of: str) -> bool:
    """Begin a new epoch of the numbers, unless this one has ended; tell whether it had not."""
    current = Installation.objects.filter(pk=1, epoch=instead_of.partition("-")[0])
    return bool(current.update(epoch=_random()))


def _row() -> _Row | None:
    row: _Row | None = _asked(_ROW.format(_timeline()))
    return row


def _made() -> _Row:
    """Make the row. Of several that make it at once one wins, and all read the same."""
    (segment,) = _asked(f"SELECT {_timeline()}")
    epoch = _random()
    made = Installation(pk=1, name=_random(), epoch=epoch, first_epoch=_with_timeline(epoch, segment))
    Installation.objects.bulk_create([made], ignore_conflicts=True)
    row = _row()
    if row is None:
        raise OperationalError("The installation's row is gone as soon as it was made.")
    return row


def _asked(query: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()


def _with_timeline(epoch: str, segment: str | None) -> str:
    if segment == "":
        raise OperationalError("The database is a standby: it replays what another server writes.")
    return f"{epoch}-{int(segment, 16)}" if segment else epoch


def _random() -> str:
    return secrets.token_hex(8)


def _timeline() -> str:
    """Return what a statement asks for the timeline by."""
    return _TIMELINE if _has_timeline() else "NULL"


def _has_timeline() -> bool:
    """Tell whether this database says its timeline to us; it is asked once."""
    if _memory.has_timeline is None:
        _memory.has_timeline = connection.vendor == "postgresql" and _says_timeline()
    return _memory.has_timeline


def _says_timeline() -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SELECT {_TIMELINE}")
    except _NOT_READABLE:
        return False
    return True


class _Memory:
    """What this process has read, and when (seconds of the monotonic clock)."""

    def __init__(self) -> None:
        self.latest: tuple[Identity | None, float] = None, 0.0
        self.has_timeline: bool | None = None


_memory = _Memory()

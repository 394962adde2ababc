"""Read the installation's name and the epoch of its numbers from the database.

A database that has lost commits, by a failover to a standby that was behind or by a restore, gives the lost numbers of
feeds again, to other notifications. So numbers count in an epoch. It changes by `manage.py new_epoch`, by a feed that
has lost numbers (notifications/delivery/losses.py), and with PostgreSQL's timeline, which grows with each promotion and
each recovery to a point in time
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
"""How long a read is reused. A process that has sockets reads again each second."""

_ROW = "SELECT name, epoch, first_epoch, {} FROM notifications_installation WHERE id = 1"
# pg_control_checkpoint() has the timeline too, but only after the checkpoint that ends a recovery.
_TIMELINE = (
    "CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END"
)
_NOT_READABLE = (ProgrammingError, NotSupportedError, InternalError)
"""Errors of a database that has no timelines, or does not let this role read them."""
_Row = tuple[str, str, str, str | None]


class Identity(NamedTuple):
    """An installation's random name and the epoch of its numbers. Both are opaque.

    `is_first`: no other epoch was before it, so that a number without an epoch is of this one.
    """

    name: str
    epoch: str
    is_first: bool


def read() -> Identity:
    """Read the identity from the server that the thread's other statements go to.

    Raises a DatabaseError, also on a standby: it may be behind.
    """
    name, random, first, segment = _row() or _create()
    epoch = _with_timeline(random, segment)
    identity = Identity(name, epoch, is_first=epoch == first)
    _memory.latest = identity, time.monotonic()
    return identity


def fresh() -> Identity | None:
    """Return the identity if it was read within FRESH_SECONDS."""
    identity, at = _memory.latest
    return identity if time.monotonic() - at < FRESH_SECONDS else None


def current() -> Identity:
    """Return the identity as read within FRESH_SECONDS, or read it. Raises a DatabaseError."""
    return fresh() or read()


def known() -> Identity | None:
    """Return the identity as read last, if it ever was."""
    return _memory.latest[0]


def renew() -> Identity:
    """Give the installation a new name and a new epoch. Clients connect again and get `resumed: false`."""
    with transaction.atomic():
        Installation.objects.update_or_create(pk=1, defaults={"name": _random(), "epoch": _random()})
    return read()


def begin_epoch(*, instead_of: str) -> bool:
    """Begin a new epoch of the numbers, and return True, unless `instead_of` has ended already."""
    current = Installation.objects.filter(pk=1, epoch=instead_of.partition("-")[0])
    return bool(current.update(epoch=_random()))


def _row() -> _Row | None:
    row: _Row | None = _fetch_one(_ROW.format(_timeline()))
    return row


def _create() -> _Row:
    """Create the row. If several processes do so at once, one wins, and all read the same row."""
    (segment,) = _fetch_one(f"SELECT {_timeline()}")
    epoch = _random()
    made = Installation(pk=1, name=_random(), epoch=epoch, first_epoch=_with_timeline(epoch, segment))
    Installation.objects.bulk_create([made], ignore_conflicts=True)
    row = _row()
    if row is None:
        raise OperationalError("The installation's row is gone as soon as it was made.")
    return row


def _fetch_one(query: str) -> Any:
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
    """Return the SQL expression of the timeline."""
    return _TIMELINE if _has_timeline() else "NULL"


def _has_timeline() -> bool:
    """Return whether this role can read the database's timeline. The database is asked once."""
    if _memory.has_timeline is None:
        _memory.has_timeline = connection.vendor == "postgresql" and _can_read_timeline()
    return _memory.has_timeline


def _can_read_timeline() -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SELECT {_TIMELINE}")
    except _NOT_READABLE:
        return False
    return True


class _Memory:
    """The identity as this process read it last, and when (seconds of the monotonic clock)."""

    def __init__(self) -> None:
        self.latest: tuple[Identity | None, float] = None, 0.0
        self.has_timeline: bool | None = None


_memory = _Memory()

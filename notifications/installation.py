"""Read the installation's name and the epoch of its numbers from the database.

A database that has lost commits, by a failover to a standby that was behind or by a restore, gives the lost numbers of
feeds again, to other notifications. So numbers count in an epoch. It changes by `manage.py new_epoch`, by a feed that
has lost numbers (notifications/delivery/losses.py), with PostgreSQL's timeline, and with the cluster, database and
table (notifications/timeline.py). A process that sees PostgreSQL go back to an earlier state begins a new one.
"""

import logging
import secrets
import time
from hashlib import sha256
from typing import Any, NamedTuple

from django.db import OperationalError, connection, transaction

from notifications import timeline
from notifications.models import Installation

logger = logging.getLogger(__name__)

FRESH_SECONDS = 2.0
"""A read is reused for this time. A process that has sockets reads again each second."""

_ROW = "SELECT name, ({mark}), first_epoch, {place}, {position} FROM notifications_installation WHERE id = 1"


class _Row(NamedTuple):
    name: str
    mark: str
    first_epoch: str
    place: str
    position: int

    @property
    def random(self) -> str:
        return self.mark.partition("-")[0]

    @property
    def progress(self) -> tuple[str, int]:
        """The timeline and the position in the log."""
        return self.mark.partition("-")[2], self.position


class Identity(NamedTuple):
    """An installation's random name and the epoch of its numbers. Both are opaque.

    `is_first`: no other epoch was before it, so that a number without an epoch is of this one.
    """

    name: str
    epoch: str
    is_first: bool


def mark_of(epoch: str) -> str:
    """Return the part of an epoch that statements can read along with numbers; see notifications/timeline.py."""
    return epoch.rpartition("-")[0] or epoch


def read() -> Identity:
    """Read the identity from the server that the thread's other statements go to.

    Raises a DatabaseError, also on a standby: it may be behind.
    """
    seen = dict(_memory.seen)  # before the row is read, so that what follows is later
    row = _row() or _create()
    # A position of 0 says that the log cannot be read: then nothing can be compared.
    if row.position and row.progress < seen.get(row.random, row.progress):
        _begin_after_going_back(row)
        row = _row() or _create()
    _memory.note(row.progress, randoms={*seen, row.random})
    epoch = _epoch(row.mark, row.place)
    identity = Identity(row.name, epoch, is_first=epoch == row.first_epoch)
    # One assignment of both: threads of requests read them without a lock.
    _memory.latest = identity, time.monotonic()
    return identity


def fresh() -> Identity | None:
    """Return the identity if it was read within FRESH_SECONDS."""
    identity, at = _memory.latest
    return identity if time.monotonic() - at < FRESH_SECONDS else None


def current() -> Identity:
    """Return the identity as read within FRESH_SECONDS, or read it. Raises a DatabaseError."""
    return fresh() or read()


def of(segment: str | None) -> Identity | None:
    """Return the identity in whose epoch a statement gave numbers, by the timeline that the statement read.

    None: the timeline has ended since. A statement that read none is taken to be of the current epoch. Raises a
    DatabaseError.
    """
    identity = current()
    if segment is None or segment in identity.epoch.split("-"):
        return identity
    # What is reused may be older than the statement, so read again before its wakes are given up.
    identity = read()
    return identity if segment in identity.epoch.split("-") else None


def known() -> Identity | None:
    """Return the identity as read last, if it ever was."""
    return _memory.latest[0]


def renew() -> Identity:
    """Give the installation a new name and a new epoch. Clients connect again and get `resumed: false`."""
    with transaction.atomic():
        # `first_epoch` stays: a number without an epoch counts in the very first one alone (docs/decisions/0036).
        # The new name renames the groups, so that a copy of a database hears nothing of the original.
        Installation.objects.update_or_create(pk=1, defaults={"name": _random(), "epoch": _random()})
    return read()


def begin_epoch(*, instead_of: str) -> bool:
    """Begin a new epoch of the numbers, and return True, unless `instead_of` has ended already."""
    # Of several processes that notice one loss only the first finds the old epoch here, and begins a new one.
    current = Installation.objects.filter(pk=1, epoch=instead_of.partition("-")[0])
    return bool(current.update(epoch=_random()))


def _begin_after_going_back(row: _Row) -> None:
    """Begin a new epoch, since the numbers of the row's epoch that were given later are given again.

    Other processes do the same, and leave a new epoch alone, because they have not seen it before.
    """
    if begin_epoch(instead_of=row.random):
        logger.warning("PostgreSQL has gone back to an earlier state: the feeds' numbers have a new epoch.")


def _row() -> _Row | None:
    _, position, place = timeline.expressions()
    found = _fetch_one(_ROW.format(mark=timeline.mark(), place=place, position=position))
    if found is None:
        return None
    row = _Row(*found)
    # On a standby the expression of the timeline is empty, and the mark ends behind the dash.
    if row.mark.endswith("-"):
        raise OperationalError("The database is a standby: it replays what another server writes.")
    return row


def _create() -> _Row:
    """Create the row. If several processes do so at once, one wins, and all read the same row."""
    # Read before the insert, because the row keeps its first epoch whole: with the timeline and the place.
    here = timeline.expressions()
    epoch = _random()
    mark, place = _fetch_one(f"SELECT '{epoch}' || coalesce('-' || {here.timeline}, ''), {here.place}")
    made = Installation(pk=1, name=_random(), epoch=epoch, first_epoch=_epoch(mark, place))
    Installation.objects.bulk_create([made], ignore_conflicts=True)
    row = _row()
    if row is None:
        raise OperationalError("The installation's row is gone as soon as it was made.")
    return row


def _fetch_one(query: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()


def _epoch(mark: str, place: str) -> str:
    return f"{mark}-{sha256(place.encode()).hexdigest()[:8]}" if place else mark


def _random() -> str:
    return secrets.token_hex(8)


class _Memory:
    """The identities that this process has read.

    `latest`: the identity, and when it was read (seconds of the monotonic clock). `seen`: how far the database had come
    at most since each epoch was first read, by the epoch's random text. If that text is there with less, the database
    has been put back.
    """

    def __init__(self) -> None:
        self.latest: tuple[Identity | None, float] = None, 0.0
        self.seen: dict[str, tuple[str, int]] = {}

    def note(self, progress: tuple[str, int], *, randoms: set[str]) -> None:
        """Note the progress for the epochs that were known when the read began, and for the one that was read."""
        for random in randoms:
            # Of two reads at the same time the older may be noted later.
            self.seen[random] = max(progress, self.seen.get(random, progress))


_memory = _Memory()

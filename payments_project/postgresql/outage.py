"""Whether PostgreSQL takes new connections: while it is known that it takes none, nobody waits for one.

The pool says nothing of it to who waits: each would wait for as long as in a rush.
"""

import time
from typing import Any

import psycopg
from prometheus_client import Counter
from psycopg_pool import ConnectionPool

UNWRITABLE = Counter(
    "payments_database_unwritable_total", "Statements that PostgreSQL could not write, by why.", ["reason"]
)

BRIEF_SECONDS = 2.0
"""How long it may take none before that is an outage. A restart is over by then: who asked meanwhile is served late."""
SWITCH_SECONDS = 1.0
"""Within this after it was found to only read, nobody hopes for a restart: who is refused then is refused for that."""


class Outage:
    """What this process's connecting came to, in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self.reason: str | None = None
        """Why the last one failed; None: it did not."""
        self._since = 0.0
        self._only_reads_since = -SWITCH_SECONDS

    def begin_to_only_read(self) -> None:
        """Note that the server that was connected to only reads."""
        self._only_reads_since = time.monotonic()

    def failed(self, error: psycopg.Error) -> None:
        """Note that no connection was made."""
        now = time.monotonic()
        if self.reason is None:
            has_switched = now - self._only_reads_since < SWITCH_SECONDS
            self._since = now - BRIEF_SECONDS if has_switched else now
        self.reason = str(error)

    def is_over(self) -> None:
        """Note that a connection works."""
        self.reason = None

    def is_known(self) -> bool:
        """Tell whether connecting has failed for too long to wait for it."""
        return self.reason is not None and time.monotonic() - self._since >= BRIEF_SECONDS


outage = Outage()


class Connection(psycopg.Connection[Any]):
    """A connection of the pool's, which notes whether it could be made."""

    @classmethod
    def connect(cls, *args: Any, **options: Any) -> "Connection":
        """Connect, as psycopg does. Raises psycopg.Error."""
        try:
            connection = super().connect(*args, **options)
        except psycopg.Error as error:
            outage.failed(error)
            raise
        outage.is_over()
        return connection


def go_on_trying(pool: ConnectionPool[Any]) -> None:
    """Have the pool try again: by itself it gives up, until somebody waits for a connection."""
    pool.check()

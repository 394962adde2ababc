"""Remember whether PostgreSQL takes new connections, so that no caller waits for one during an outage.

The pool does not report an outage: each caller would wait as long as for a busy pool.
"""

import time
from typing import Any

import psycopg
from prometheus_client import Counter
from psycopg_pool import ConnectionPool

UNWRITABLE = Counter(
    "payments_database_unwritable_total", "Statements that PostgreSQL could not write, by reason.", ["reason"]
)

BRIEF_SECONDS = 2.0
"""Connecting may fail for this time before it is an outage. A restart takes less: callers meanwhile are served late."""
READ_ONLY = ("session is read-only", "server is in hot standby mode")
"""Texts of libpq for a server that `target_session_attrs` does not accept. It is no restart, but an outage at once."""
FRESH_SECONDS = 1.0
"""A connection that was used within this time is not asked whether its server is still there."""
SWITCH_SECONDS = 1.0
"""A failure within this time after the server was found read-only is an outage at once: it is no restart."""


class Outage:
    """The state of this process's connections, in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self.reason: str | None = None
        """Why the last attempt to connect failed; None: it did not."""
        self._since = 0.0
        self._read_only_since = -SWITCH_SECONDS

    def note_read_only(self) -> None:
        """Note that the connected server only reads."""
        self._read_only_since = time.monotonic()

    def failed(self, error: psycopg.Error) -> None:
        """Note that connecting failed."""
        now = time.monotonic()
        reason = str(error)
        if any(text in reason for text in READ_ONLY) or now - self._read_only_since < SWITCH_SECONDS:
            self._since = now - BRIEF_SECONDS  # so that `is_known` is true from now on
        elif self.reason is None:
            self._since = now
        self.reason = reason

    def is_over(self) -> None:
        """Note that a connection works."""
        self.reason = None

    def is_known(self) -> bool:
        """Return whether connecting has failed for BRIEF_SECONDS."""
        return self.reason is not None and time.monotonic() - self._since >= BRIEF_SECONDS


outage = Outage()


class Connection(psycopg.Connection[Any]):
    """A connection of the pool, which notes whether it could be opened, and looks whether it was cut."""

    used_at = -FRESH_SECONDS
    """When it was last given back to the pool, in seconds of the monotonic clock."""

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

    def check(self) -> None:
        """Raise a psycopg.Error if the connection is cut.

        One that was just used is asked nothing: its end would have arrived here. One that was idle for longer may have
        lost its server without a sign. To ask it costs two processes a wake.
        """
        if time.monotonic() - self.used_at >= FRESH_SECONDS:
            ConnectionPool.check_connection(self)
            return
        # At first why the server ends the connection, then the end itself.
        self.pgconn.consume_input()
        self.pgconn.consume_input()

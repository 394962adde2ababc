"""Django's PostgreSQL backend, which treats a read-only server as lost.

After a failover the old primary may run on and refuse only writes (SQLSTATE 25006). To psycopg that is an error of one
statement. Here it is an outage: the connection is closed, and the pool connects anew, to the current primary.
https://docs.djangoproject.com/en/5.2/ref/databases/#subclassing-the-built-in-database-backends
"""

import logging
import time
from types import TracebackType
from typing import Any

import psycopg
from django.db import OperationalError
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg.errors import DiskFull, ReadOnlySqlTransaction
from psycopg_pool import PoolTimeout

from payments_project.postgresql import reserve
from payments_project.postgresql.outage import UNWRITABLE, outage

logger = logging.getLogger("payments_project.postgresql")

PATIENCE_SECONDS = 5.0
"""A caller waits this long for a connection of a busy pool."""
DRAIN_SECONDS = 1.0
"""Drains of the pool are this far apart: many callers notice the same failover."""


class ErrorWrapper(DatabaseErrorWrapper):
    """Turns errors of the driver into Django's, and notices a server that cannot write."""

    wrapper: "DatabaseWrapper"

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc_value, ReadOnlySqlTransaction):
            self.wrapper.errors_occurred = True
            UNWRITABLE.labels("read_only").inc()
            self.wrapper.give_up()
            error = OperationalError("The database only reads, as after a failover.")
            raise error.with_traceback(traceback) from exc_value
        if isinstance(exc_value, DiskFull):
            UNWRITABLE.labels("disk_full").inc()
            logger.error(
                "The database's disk is full (SQLSTATE 53100): nothing is written until it has room."
            )
        super().__exit__(exc_type, exc_value, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    """The backend. https://docs.djangoproject.com/en/5.2/ref/databases/#postgresql-notes."""

    # Of the class: each thread has a wrapper of its own, and all share one pool.
    _drained_at = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._place = reserve.Place()

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        """Return the context manager in which all statements are executed."""
        return ErrorWrapper(self)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection of the pool. Raises a psycopg.Error, at once in a known outage.

        The pool wakes no caller when it finds that it cannot connect. So it is asked for short times.
        """
        end = time.monotonic() + PATIENCE_SECONDS
        if not self._place.take(seconds=PATIENCE_SECONDS):
            raise PoolTimeout(f"no connection was free within {PATIENCE_SECONDS:.0f} seconds")
        try:
            return self._of_pool(conn_params, end)
        except BaseException:
            self._place.give_back()
            raise

    def close(self) -> None:
        """Give the connection back, and its place."""
        connection: Any = self.connection
        if connection is not None:
            connection.used_at = time.monotonic()
        try:
            super().close()
        finally:
            if self.connection is None:
                self._place.give_back()

    def _of_pool(self, conn_params: dict[str, Any], end: float) -> Any:
        while True:
            self._refuse_in_outage()
            try:
                connection = super().get_new_connection(conn_params)
            except PoolTimeout:
                if time.monotonic() >= end:
                    raise
                continue
            try:
                if self.pool:
                    connection.check()
            except psycopg.Error:
                connection.close()
                self.pool.putconn(connection)  # which replaces it
                if time.monotonic() >= end:
                    raise
            else:
                outage.is_over()
                return connection

    def _refuse_in_outage(self) -> None:
        """Raise a psycopg.Error if the database is known to be away, and the pool has no connection left."""
        if self.pool and outage.is_known():
            self.pool.open()
            self.pool.check()  # else the caller would wait for each connection that was cut
            if not self.pool.get_stats()["pool_available"]:
                raise psycopg.OperationalError(f"{outage.reason}")

    def give_up(self) -> None:
        """Close this connection, and replace all connections of the pool."""
        connection: Any = self.connection
        if connection is not None:
            connection.close()
        now = time.monotonic()
        if self.pool and now - DatabaseWrapper._drained_at >= DRAIN_SECONDS:
            DatabaseWrapper._drained_at = now
            outage.note_read_only()
            logger.error("The database only reads (SQLSTATE 25006), as after a failover: connecting anew.")
            self.pool.drain()

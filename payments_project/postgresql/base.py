"""Django's PostgreSQL, for which a server that only reads is a lost one.

After a failover the old primary may live on and answer all but writes (SQLSTATE 25006). To psycopg that is an internal
error of one statement. Here it is an outage: the connection is given up, and the pool connects anew, to whoever is
the primary by now. https://docs.djangoproject.com/en/5.2/ref/databases/#subclassing-the-built-in-database-backends
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

from payments_project.postgresql.outage import UNWRITABLE, outage

logger = logging.getLogger("payments_project.postgresql")

DRAIN_SECONDS = 1.0
"""How long the pool is left alone after it was emptied: many callers meet the same failover."""


class ErrorWrapper(DatabaseErrorWrapper):
    """Makes Django's errors of the driver's."""

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
    _drained_at = 0.0

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        """The context manager in which all statements are executed."""
        return ErrorWrapper(self)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection of the pool's. Raises a psycopg.Error, at once if it is known that none can be made."""
        if self.pool and outage.is_known():
            self.pool.open()
            self.pool.check()  # those that were cut would each be waited for
            if not self.pool.get_stats()["pool_available"]:
                raise psycopg.OperationalError(f"{outage.reason}")
        connection = super().get_new_connection(conn_params)
        outage.is_over()
        return connection

    def give_up(self) -> None:
        """Close this connection, and let the pool make new ones for all that it has."""
        connection: Any = self.connection
        if connection is not None:
            connection.close()
        now = time.monotonic()
        if self.pool and now - DatabaseWrapper._drained_at >= DRAIN_SECONDS:
            DatabaseWrapper._drained_at = now
            outage.begin_to_only_read()
            logger.error("The database only reads (SQLSTATE 25006), as after a failover: connecting anew.")
            self.pool.drain()

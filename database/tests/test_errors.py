"""What the log says of an error: enough to know a full disk from a lock, and nothing that was stored."""

import sqlite3

import psycopg.errors
import pytest
from django.db import OperationalError
from psycopg_pool import PoolTimeout

from database.errors import describe


def caused_by(cause):
    error = OperationalError("a secret")
    error.__cause__ = cause
    return error


def a_full_sqlite():
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA max_page_count = 1")
    try:
        with pytest.raises(sqlite3.OperationalError) as full:
            connection.execute("CREATE TABLE t (a)")
    finally:
        connection.close()
    return full.value


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (caused_by(psycopg.errors.DiskFull("a secret")), "OperationalError (DiskFull, SQLSTATE 53100)"),
        (caused_by(a_full_sqlite()), "OperationalError (SQLITE_FULL)"),
        (
            caused_by(
                psycopg.OperationalError("connection failed: Connection refused\n\tIs the server running?")
            ),
            "OperationalError (connection failed: Connection refused)",
        ),
        (
            caused_by(PoolTimeout("couldn't get a connection after 0.25 sec")),
            "OperationalError (couldn't get a connection after 0.25 sec)",
        ),
        (caused_by(psycopg.OperationalError()), "OperationalError (OperationalError)"),
        (caused_by(psycopg.ProgrammingError("a secret")), "OperationalError (ProgrammingError)"),
        (OperationalError("The database took too long."), "OperationalError: The database took too long."),
        (OperationalError(), "OperationalError"),
    ],
)
def test_an_error_is_named_by_what_the_database_calls_it(error, words):
    assert describe(error) == words

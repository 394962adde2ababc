"""Statements sent past the layers above libpq, prepared once for each connection that keeps them.

A statement through Django's and psycopg's cursors runs some forty Python functions, which under low load, where none
of them is in the processor's caches, cost several times what libpq and the socket do; and PostgreSQL would plan it
anew each time (https://www.psycopg.org/psycopg3/docs/api/pq.html). So the text of a statement must not depend on what
it is about: values, and any number of them, go into its parameters.

A pooler in transaction mode leads one connection to many sessions of PostgreSQL. One that does not keep track of what
each client has prepared (PgBouncer before 1.21, or with max_prepared_statements=0) loses it. Behind such a pooler
statements are not prepared, which costs their planning each time and works.
"""

import re
from functools import cache
from hashlib import sha256
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connection
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

_OF_ANOTHER_TIME = {"0A000", "26000", "42P05"}
"""The statement's result has another type since a migration, or somebody else has dropped or made the statement."""
_DONE = {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}

_PROBE = b"bulk_probe"
_SESSION = (
    b"SELECT pg_backend_pid(), (SELECT count(*) FROM pg_prepared_statements WHERE name = '%s')" % _PROBE
)

_prepared: WeakKeyDictionary[Any, dict[str, bytes] | None] = WeakKeyDictionary()
"""By psycopg connection: the names of statements, by their texts; None where nothing is to be prepared."""


def execute(text: str, *parameters: str) -> list[tuple[Any, ...]]:
    """Execute one statement, with %s for each parameter; return the rows that it returns.

    PostgreSQL's values are text, whatever their type. What Django raises for a database's error is raised.
    """
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(text, parameters)
            return cursor.fetchall() if cursor.description else []
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return _execute(connection.connection, text, parameters)


def _execute(raw: Any, text: str, parameters: tuple[str, ...]) -> list[tuple[Any, ...]]:
    pgconn = raw.pgconn
    if not raw.autocommit and pgconn.transaction_status == TransactionStatus.IDLE:
        _checked(raw, pgconn.exec_(b"BEGIN"))  # as psycopg's cursors do before the first statement
    if raw not in _prepared:
        _prepared[raw] = {} if _keeps_statements(raw) else None
    names = _prepared[raw]
    values = [parameter.encode() for parameter in parameters]
    if names is None:
        return _rows(_checked(raw, pgconn.exec_params(_numbered(text), values)))
    if text not in names:
        name = (
            f"bulk_{sha256(text.encode()).hexdigest()[:24]}".encode()
        )  # behind a pooler others prepare, too
        _checked(raw, pgconn.prepare(name, _numbered(text)))
        names[text] = name
    return _rows(_checked(raw, pgconn.exec_prepared(names[text], values)))


def _keeps_statements(raw: Any) -> bool:
    """Tell whether what is prepared on a connection is there in its next transaction.

    PostgreSQL says the same process id at the start of a connection and later; a pooler makes one up, for a connection
    is no process of PostgreSQL's. A pooler that keeps track of statements gives them names of its own
    (https://www.pgbouncer.org/config.html#max_prepared_statements). One that leaves a name as it is may lose it, or
    meet it where another client left it.
    """
    if not raw.autocommit or raw.pgconn.transaction_status != TransactionStatus.IDLE:
        return _probe(raw)
    _checked(raw, raw.pgconn.exec_(b"BEGIN"))  # or each of the probe's statements may go to another session
    try:
        return _probe(raw)
    finally:
        _checked(raw, raw.pgconn.exec_(b"COMMIT"))


def _probe(raw: Any) -> bool:
    pgconn = raw.pgconn
    [(process, found)] = _rows(_checked(raw, pgconn.exec_(_SESSION)))
    if int(process) == pgconn.backend_pid:
        return True
    if found != "0":
        return False
    _checked(raw, pgconn.prepare(_PROBE, b"SELECT 1"))
    [(_, found)] = _rows(_checked(raw, pgconn.exec_(_SESSION)))
    return bool(found == "0")


def _rows(result: Any) -> list[tuple[Any, ...]]:
    columns = range(result.nfields)
    return [
        tuple(_text(result.get_value(row, column)) for column in columns) for row in range(result.ntuples)
    ]


def _checked(raw: Any, result: Any) -> Any:
    if result.status in _DONE:
        return result
    if raw.pgconn.status != ConnStatus.OK:
        raise psycopg.OperationalError("The connection to the database is lost.")
    error = psycopg.errors.error_from_result(result, "utf-8")
    if error.sqlstate in _OF_ANOTHER_TIME:
        raw.close()  # the pool makes another, on which it is prepared anew
    raise error


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


@cache
def _numbered(text: str) -> bytes:
    """Return a statement with places as PostgreSQL names them."""
    numbers = count(1)
    return re.sub("%s", lambda _: f"${next(numbers)}", text).encode()

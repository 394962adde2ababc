"""Statements sent past the layers above libpq, prepared once for each connection.

A statement through Django's and psycopg's cursors runs some forty Python functions, which under low load, where none
of them is in the processor's caches, cost several times what libpq and the socket do; and PostgreSQL would plan it
anew each time (https://www.psycopg.org/psycopg3/docs/api/pq.html). So the text of a statement must not depend on what
it is about: values, and any number of them, go into its parameters.
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

_prepared: WeakKeyDictionary[Any, dict[str, bytes]] = WeakKeyDictionary()
"""By psycopg connection: the names of statements, by their texts."""


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
    names = _prepared.setdefault(raw, {})
    if text not in names:
        name = (
            f"bulk_{sha256(text.encode()).hexdigest()[:24]}".encode()
        )  # behind a pooler others prepare, too
        _checked(raw, pgconn.prepare(name, _numbered(text)))
        names[text] = name
    values = [parameter.encode() for parameter in parameters]
    result = _checked(raw, pgconn.exec_prepared(names[text], values))
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

"""Execute statements that are prepared once for each connection, with all their values as parameters.

On PostgreSQL they go to libpq, below psycopg's cursor, which costs 10 to 18 % of the CPU of a webhook
(docs/decisions/0039). Django's query log, `execute_wrapper` and errors still apply. Behind a pooler that loses prepared
statements (PgBouncer before 1.21, or with max_prepared_statements=0) they are planned each time.
"""

import re
from functools import cache
from hashlib import sha256
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
from psycopg import pq

_STALE = {"0A000", "26000", "42P05"}
"""SQLSTATEs of a stale prepared statement: a migration changed its result, or another client of a pooler made or
dropped it."""
_DONE = {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}

_PROBE = b"prepared_probe"
_SESSION = (
    b"SELECT pg_backend_pid(), (SELECT count(*) FROM pg_prepared_statements WHERE name = '%s')" % _PROBE
)

# Weak: a connection that the pool replaced takes its names with it.
_prepared: WeakKeyDictionary[Any, dict[str, bytes] | None] = WeakKeyDictionary()
"""Maps a psycopg connection to the names of its statements by their texts, or to None if it cannot keep them."""


@cache
def is_postgresql() -> bool:
    """Return whether the database in use is PostgreSQL, and not SQLite.

    Django's `connection` looks for the thread's connection each time that it is asked.
    """
    return connections[DEFAULT_DB_ALIAS].vendor == "postgresql"


def execute(text: str, *parameters: str) -> list[tuple[Any, ...]]:
    """Execute one statement, with %s for each parameter; return the rows that it returns.

    PostgreSQL's values are text, whatever their type. Raises Django's database errors.
    """
    database = connections[DEFAULT_DB_ALIAS]  # `connection` would look for the thread's at each use
    if database.vendor != "postgresql":
        with database.cursor() as cursor:
            cursor.execute(text, parameters)
            return cursor.fetchall() if cursor.description else []
    database.ensure_connection()
    statement = _Statement(database.connection)
    wrapper = _LoggedCursor if database.queries_logged else CursorWrapper
    wrapper(statement, database).execute(text, parameters)
    return statement.rows


class _LoggedCursor(CursorDebugWrapper):
    """Logs a statement with its values, as Django does where the server binds them."""

    def execute(self, sql: Any, params: Any = None) -> Any:
        with self.debug_sql(self.db.ops.compose_sql(sql, params)):
            return CursorWrapper.execute(self, sql, params)


class _Statement:
    """The part of a cursor that Django's wrappers need."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.rows: list[tuple[Any, ...]] = []

    def execute(self, text: str, parameters: tuple[str, ...]) -> None:
        raw, pgconn = self._raw, self._raw.pgconn
        if not raw.autocommit and pgconn.transaction_status == pq.TransactionStatus.IDLE:
            _checked(raw, pgconn.exec_(_begin(raw)))  # as psycopg's cursors do before the first statement
        try:
            names = _prepared[raw]
        except KeyError:
            names = _prepared[raw] = {} if _keeps_statements(raw) else None
        values = [parameter.encode() for parameter in parameters]
        if names is None:
            self.rows = _rows(_checked(raw, pgconn.exec_params(_numbered(text), values)))
            return
        if text not in names:
            # Behind a pooler other clients prepare too: a hash makes the same name always mean the same text.
            name = f"prepared_{sha256(text.encode()).hexdigest()[:24]}".encode()
            _checked(raw, pgconn.prepare(name, _numbered(text)))
            names[text] = name
        self.rows = _rows(_checked(raw, pgconn.exec_prepared(names[text], values)))


def _begin(raw: Any) -> bytes:
    level = raw.isolation_level  # of OPTIONS; None: as the database has it
    return f"BEGIN ISOLATION LEVEL {level.name.replace('_', ' ')}".encode() if level else b"BEGIN"


def _keeps_statements(raw: Any) -> bool:
    """Return whether a statement that is prepared on a connection exists in its next transaction.

    A pooler in transaction mode makes up the process id that PostgreSQL reports at the start of a connection. If it
    tracks statements, it names them itself (https://www.pgbouncer.org/config.html#max_prepared_statements). If it keeps
    the client's name, it may lose the statement, or find one that another client left.
    """
    if not raw.autocommit or raw.pgconn.transaction_status != pq.TransactionStatus.IDLE:
        return _probe(raw)
    _checked(raw, raw.pgconn.exec_(b"BEGIN"))  # else each statement of the probe may go to another session
    try:
        return _probe(raw)
    finally:
        _checked(raw, raw.pgconn.exec_(b"COMMIT"))


def _probe(raw: Any) -> bool:
    pgconn = raw.pgconn
    # Without a pooler the session has the process id that the connection was opened with.
    [(process, found)] = _rows(_checked(raw, pgconn.exec_(_SESSION)))
    if int(process or 0) == pgconn.backend_pid:
        return True
    if found != "0":  # another client of the pooler left it: names are shared
        return False
    _checked(raw, pgconn.prepare(_PROBE, b"SELECT 1"))
    [(_, found)] = _rows(_checked(raw, pgconn.exec_(_SESSION)))
    return bool(found == "0")


def _rows(result: Any) -> list[tuple[Any, ...]]:
    values = [
        [result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)
    ]
    return [tuple([value if value is None else value.decode() for value in row]) for row in values]


def _checked(raw: Any, result: Any) -> Any:
    if result.status in _DONE:
        return result
    # libpq has no SQLSTATE for a lost connection, and callers tell an outage by the class of the error.
    if raw.pgconn.status != pq.ConnStatus.OK:
        raise psycopg.OperationalError("The connection to the database is lost.")
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    if state in _STALE:
        raw.close()  # the pool opens another connection, on which the statement is prepared anew
    raise psycopg.errors.error_from_result(result, encoding="utf-8")


@cache
def _numbered(text: str) -> bytes:
    """Return a statement with PostgreSQL's placeholders, $1 for the first %s."""
    numbers = count(1)
    return re.sub("%s", lambda _: f"${next(numbers)}", text).encode()

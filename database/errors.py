"""Describe database errors for the log, without the statement and its values."""

import logging

import psycopg
from django.db import OperationalError

logger = logging.getLogger(__name__)

LINE_MAX = 300
"""Characters of a text that is logged."""


def sqlstate(error: BaseException) -> str:
    """Return PostgreSQL's code of an error, of five characters; empty: it has none."""
    return str(getattr(error.__cause__ or error, "sqlstate", None) or "")


def describe(error: BaseException) -> str:
    """Return the error's name, with the database's own name and code if there is one.

    A full disk, a lock and a server that is away are all an OperationalError. The code distinguishes them:
    `OperationalError (DiskFull, SQLSTATE 53100)`, `OperationalError (SQLITE_FULL)`. The database's own text is left
    out: it quotes statements and rows. An error of the connection has no code, and its text quotes nothing: then that
    is returned, `OperationalError (connection failed: ... Connection refused)`.
    """
    cause = error.__cause__ or error
    state = getattr(cause, "sqlstate", None)
    if state:
        return f"{type(error).__name__} ({type(cause).__name__}, SQLSTATE {state})"
    name = getattr(cause, "sqlite_errorname", None)
    if name:
        return f"{type(error).__name__} ({name})"
    if cause is not error:
        about_connection = isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
        text = _first_line(cause) if about_connection else ""
        return f"{type(error).__name__} ({text or type(cause).__name__})"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def log_outage(error: OperationalError) -> None:
    """Log why the database did not serve a request. The log's filter passes each reason once a minute."""
    reason = describe(error)
    logger.error("The database did not answer: %s", reason, extra={"reason": reason})


def _first_line(error: BaseException) -> str:
    """Return what psycopg or libpq says of a connection. The lines after the first explain."""
    return str(error).strip().partition("\n")[0][:LINE_MAX]

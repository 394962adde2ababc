"""Reads what the workers wrote: some exceptions belong to a run that breaks the database, all others do not."""

import re
from collections.abc import Iterable

EXPECTED = (
    "django.db.utils.OperationalError",
    "django.db.utils.InterfaceError",
    "psycopg.",
    "psycopg_pool.",
    "redis.exceptions.ConnectionError",
    "redis.exceptions.TimeoutError",
)
_START = re.compile(r"\s*[+|]?\s*(Exception Group )?Traceback \(most recent call last\)")
_RECORD = re.compile(r"\d{4}-\d\d-\d\d |[A-Z]+: ")
_CHAINED = ("During handling of", "The above exception")


def unexpected_exceptions(log: str) -> list[str]:
    """Return the first line of each exception that a network or a database that fails does not explain."""
    return [line for line in _exceptions(log.splitlines()) if not line.startswith(EXPECTED)]


def _exceptions(lines: Iterable[str]) -> Iterable[str]:
    """Yield the first line of each exception; of those that led to one another the last alone."""
    in_traceback, found = False, ""
    for line in lines:
        if start := _START.match(line):
            if found:
                yield found
            in_traceback, found = not start[1], "an exception group" if start[1] else ""
        elif in_traceback and line and not line.startswith(" "):
            in_traceback, found = False, line
        elif found and line.startswith(_CHAINED):
            found = ""
        elif found and _RECORD.match(line):
            yield found
            found = ""
    if found:
        yield found

"""How PostgreSQL would read what a test asked for, were its tables large."""

from contextlib import contextmanager

import pytest
from django.db import connection, transaction

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's plans")


def plan_of(queries, *, without=("seqscan", "sort")):
    """Return the plan of the last statement of a CaptureQueriesContext.

    What is named in `without` (`seqscan`, `sort`, `indexscan`) counts for dear, as on a large table: on a small one
    reading and sorting all of it is the best plan.
    """
    # SET LOCAL ends with the transaction, so that the pool hands on a connection as it was.
    with transaction.atomic(), connection.cursor() as cursor:
        for way in without:
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute("EXPLAIN " + queries.captured_queries[-1]["sql"])
        return "\n".join(line for (line,) in cursor.fetchall())


@contextmanager
def session_with(name, value):
    """Set something for this thread's session meanwhile. The pool would hand it to the next test as it is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [name, value])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"RESET {name}")

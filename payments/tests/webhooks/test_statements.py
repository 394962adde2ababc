"""The statements of an event and of a new payment can be read whole: statements.sql has them as they are sent."""

import re
from pathlib import Path

import pytest
from django.db import connection

from database import prepared
from notifications import timeline
from payments import sql, write_sql
from tests.support.plans import on_postgresql

KEPT = Path(__file__).with_name("statements.sql")

CLAUSES = r" (?:FROM|WHERE|UNION ALL|ORDER BY|GROUP BY|ON CONFLICT|RETURNING|SET|SELECT|UPDATE(?= payments)) | \w+ AS \("

pytestmark = [on_postgresql, pytest.mark.django_db]


def printed():
    """Return the statements that read an event, write all that it can add, and write what became of a stored one.

    Then those of a new payment.
    """
    every = ("unchanged", "event", "feed", "payment", "intent", "change", "refund")
    texts = {
        "What an event names is read (payments/sql.py)": sql.dialect(sql._LOOK_UP),
        "The same, and its payments are locked": sql.dialect(sql._LOCK),
        "What an event adds is written. What it does not add is left out": write_sql.together(
            every, briefly=True
        ),
        "What became of stored events is written": write_sql.one(write_sql.EVENTS),
        "The payments of a ride are read": sql._OF_RIDE,
        "A new payment is written": write_sql.one(write_sql.NEW_PAYMENTS),
        "Its link is written, once Stripe has made its session": write_sql.together(
            ("unchanged", "feed", "link"), briefly=False
        ),
    }
    return "\n".join(f"-- {title}:\n{_in_lines(text)};\n" for title, text in texts.items())


def _in_lines(text):
    """Break a statement where a part begins, and within a part where a clause does, but in no smaller brackets."""
    text = re.sub(r"\s+", " ", text.replace(timeline.of_writer(), "TIMELINE"))
    text = text.replace("( ", "(").replace(" )", ")").replace(" ,", ",").strip()
    lines, depth = [], 0
    for piece in re.split(rf"({CLAUSES}|[()])", text):
        depth += (piece == "(") - (piece == ")")
        begins = re.fullmatch(CLAUSES, piece) and depth <= (0 if piece.endswith("AS (") else 1)
        lines.append("\n" + "    " * depth + piece.lstrip() if begins else piece)
        depth += piece.endswith("AS (")
    return "".join(lines)


def test_the_statements_are_those_that_are_kept_to_be_read():
    """After a change that is meant, write what `printed` returns to statements.sql, and read it."""
    assert printed() == KEPT.read_text()


def test_no_table_is_read_whole_for_an_event_because_it_was_empty_when_the_plan_was_made():
    """A plan is kept until the table is analyzed, a minute later at best, while the table grows."""
    tables = "payments_intent, payments_payment, payments_webhookevent"
    statement = prepared._numbered(sql.dialect(sql._LOOK_UP)).decode()
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables} CASCADE")  # PostgreSQL forgets how large they were
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE looking_up AS {statement}")
        try:
            cursor.execute("EXPLAIN EXECUTE looking_up ('[]', '[]', '[]', '[]')")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        finally:
            cursor.execute("DEALLOCATE looking_up")
    assert "Seq Scan" not in plan

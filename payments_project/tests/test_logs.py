"""What reaches the log in an outage: one line a minute for each message, from libraries as well."""

import ast
import logging
import re
import sys
from pathlib import Path

from django.conf import settings

from payments_project.configuration.logs import MESSAGES_MAX, Bounded, Line, OnceAMinute, logging_of


def written(name, *messages, level=logging.WARNING):
    """Return which messages of a logger the service's handler writes."""
    bounded = Bounded()
    records = [logging.makeLogRecord({"name": name, "msg": msg, "levelno": level}) for msg in messages]
    return [record.msg for record in records if bounded.filter(record)]


def test_a_library_that_warns_at_each_call_is_heard_once_a_minute():
    assert logging_of("INFO")["handlers"]["stderr"]["filters"] == ["bounded"]
    assert written("urllib3.connectionpool", "full", "full", "cut", "full") == ["full", "cut"]
    assert written("psycopg.pool", "full", "full") == ["full"]


def test_the_services_own_lines_and_what_is_no_warning_are_all_written():
    assert written("payments.checkout.create", "made", "made") == ["made", "made"]
    assert written("django.server", "GET", "GET", level=logging.INFO) == ["GET", "GET"]


def error(record_of, message="Broken"):
    """Return a record with the traceback of what `record_of` raises."""
    try:
        record_of()
    except ValueError:
        return logging.makeLogRecord(
            {"name": "payments", "msg": message, "levelno": logging.ERROR, "exc_info": sys.exc_info()}
        )
    raise AssertionError


def breaks(text="text"):
    raise ValueError(text)


def test_a_traceback_is_written_once_a_minute_for_each_place():
    bounded = Bounded()
    assert [bounded.filter(error(breaks)) for _ in range(3)] == [True, False, False]
    assert bounded.filter(error(lambda: int("x")))
    assert not bounded.filter(error(lambda: breaks("of another text")))


def test_a_library_whose_messages_are_all_different_is_not_remembered_for_ever():
    passed = written("autobahn", *map(str, range(MESSAGES_MAX + 100)))
    assert len(passed) == MESSAGES_MAX


def test_no_text_can_forge_a_line_of_the_log_or_move_the_cursor_of_a_terminal():
    line = logging_of("INFO")["formatters"]["line"]
    formatter = Line(line["format"], style=line["style"])
    record = error(lambda: breaks("x\n2026-01-01 ERROR forged \x1b[2J"), "of %s")
    record.args = ("evt\n2026-01-01 ERROR forged \x9b2J\u202e",)

    first, *traceback = formatter.format(record).split("\n")

    assert first.endswith(r"of evt\n2026-01-01 ERROR forged \x9b2J\u202e")
    assert any(r"ERROR forged \x1b[2J" in each for each in traceback)
    assert all(each.startswith("  ") for each in traceback)


def passed(once_a_minute, msg, reason):
    return once_a_minute.filter(logging.makeLogRecord({"msg": msg, "reason": reason}))


def test_no_session_of_checkout_is_written_not_even_by_a_request_that_failed():
    line = logging_of("INFO")["formatters"]["line"]
    formatter = Line(line["format"], style=line["style"])

    def fail():
        raise ValueError("no session cs_live_abcDEF123")

    record = error(fail, "Internal Server Error: /sandbox/pay/cs_test_2gKL47fW6MKi3ypF")
    text = formatter.format(record)
    assert "Internal Server Error: /sandbox/pay/cs_test_…" in text
    assert "no session cs_live_…" in text
    assert "2gKL47fW6MKi3ypF" not in text


def test_each_reason_of_a_message_is_written_once_a_minute():
    limit = OnceAMinute()
    reasons = ["DiskFull", "AdminShutdown", "DiskFull", "AdminShutdown"]
    assert [passed(limit, "away: %s", reason) for reason in reasons] == [True, True, False, False]


def test_reasons_without_end_neither_fill_the_log_nor_the_memory():
    limit = OnceAMinute()
    assert sum(passed(limit, "away: %s", str(n)) for n in range(MESSAGES_MAX + 100)) == MESSAGES_MAX


def test_every_limited_line_that_says_why_hands_its_reason_to_the_limit():
    """A second illness within the minute is another line: the first one's would hide it."""
    lacking = []
    for name in (name for name, how in logging_of("INFO")["loggers"].items() if "once_a_minute" in str(how)):
        path = Path(settings.BASE_DIR, *name.split(".")).with_suffix(".py")
        tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
        lacking += [
            f"{name}: {ast.unparse(call)}"
            for call in ast.walk(tree)
            if isinstance(call, ast.Call)
            and ast.unparse(call.func) in {"logger.warning", "logger.error"}
            and re.search("reason|error", " ".join(map(ast.unparse, call.args[1:])))
            and "extra" not in {keyword.arg for keyword in call.keywords}
        ]
    assert lacking == []

"""What reaches the log in an outage: one line a minute for each message, from libraries as well."""

import logging

from payments_project.logs import LibrariesOnceAMinute, logging_of


def written(name, *messages, level=logging.WARNING):
    """Return which messages of a logger the service's handler writes."""
    libraries = LibrariesOnceAMinute()
    records = [logging.makeLogRecord({"name": name, "msg": msg, "levelno": level}) for msg in messages]
    return [record.msg for record in records if libraries.filter(record)]


def test_a_library_that_warns_at_each_call_is_heard_once_a_minute():
    assert logging_of("INFO")["handlers"]["stderr"]["filters"] == ["libraries"]
    assert written("urllib3.connectionpool", "full", "full", "cut", "full") == ["full", "cut"]
    assert written("psycopg.pool", "full", "full") == ["full"]


def test_the_services_own_lines_and_what_is_no_warning_are_all_written():
    assert written("payments.checkout.create", "made", "made") == ["made", "made"]
    assert written("django.server", "GET", "GET", level=logging.INFO) == ["GET", "GET"]

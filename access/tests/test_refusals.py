import logging
import threading

import pytest

from access import refusals
from access.refusals import Kind, refused
from tests.support.server import run


@pytest.fixture(autouse=True)
def fresh():
    refusals.write()
    yield
    refusals.write()


@pytest.fixture
def lines(caplog):
    """Log what was counted; return the lines."""

    def write():
        caplog.clear()
        refusals.write()
        return [record.getMessage() for record in caplog.records if record.name == "access.refusals"]

    caplog.set_level(logging.WARNING)
    return write


def scope(address):
    return {"client": (address, 1), "headers": []}


def test_an_address_has_one_line_for_all_that_it_was_refused(lines):
    for _ in range(312):
        refused(Kind.API_KEY, scope("203.0.113.7"))
    refused(Kind.SCOPE, scope("203.0.113.7"))
    refused(Kind.LOGIN, scope("2001:db8::1"))

    assert lines() == [
        "Refused 312 API keys and 1 call without the scope from 203.0.113.7 in the last minute.",
        "Refused 1 login from 2001:db8::/64 in the last minute.",
    ]
    assert lines() == [], "each refusal is logged once"


def test_many_addresses_have_few_lines_and_are_forgotten_beyond_a_number(lines, monkeypatch):
    monkeypatch.setattr(refusals, "ADDRESSES_MAX", 100)
    for number in range(150):
        refused(Kind.HOST, scope(f"10.0.0.{number}"))
    refused(Kind.HOST, scope("10.0.0.7"))

    written = lines()

    assert len(written) == refusals.LINES_MAX + 1
    assert written[0] == "Refused 2 foreign hosts from 10.0.0.7 in the last minute."
    assert written[-1] == "Refused 130 more from 80 or more other addresses in the last minute."


def test_each_refusal_is_counted(lines):
    def counted():
        return refusals.REFUSALS.labels("token")._value.get()

    before = counted()
    refused(Kind.TOKEN, scope("10.0.0.1"))
    assert counted() == before + 1


def test_the_lines_come_by_themselves_after_a_minute(monkeypatch):
    monkeypatch.setattr(refusals, "SECONDS", 0.01)
    refused(Kind.TOKEN, scope("10.0.0.1"))
    timer = refusals._timer
    if timer:  # it may be through already
        timer.join(10)
    assert not refusals._seen


ENDING = """
import django, io, sys
stderr, captured = sys.stderr, io.StringIO()
if {is_captured}: sys.stderr = captured
django.setup()
from access.refusals import Kind, refused
refused(Kind.TOKEN, {{"client": ("10.0.0.1", 1), "headers": []}})
sys.stderr = stderr
captured.close()
"""


@pytest.mark.parametrize("is_captured", [False, True])
def test_the_last_lines_come_with_the_end_of_the_process_unless_nobody_can_read_them(is_captured):
    code = ENDING.format(is_captured=is_captured)
    ran = run("-c", code, DJANGO_SETTINGS_MODULE="payments_project.settings")

    lines = [line.partition("access.refusals: ")[2] for line in ran.stderr.splitlines()]
    assert lines == ([] if is_captured else ["Refused 1 registration from 10.0.0.1 in the last minute."])


def test_the_end_of_the_process_waits_for_lines_that_are_being_written(monkeypatch):
    written, begun, may_go_on = [], threading.Event(), threading.Event()

    def slow(*arguments):
        begun.set()
        assert may_go_on.wait(10)
        written.append(arguments)

    monkeypatch.setattr(refusals.logger, "warning", slow)
    refused(Kind.TOKEN, scope("10.0.0.1"))
    timer = threading.Thread(target=refusals.write)
    end = threading.Thread(target=lambda: (refusals.write(), written.append("the end")))
    timer.start()
    assert begun.wait(10)
    end.start()
    end.join(0.2)
    assert end.is_alive()
    may_go_on.set()
    timer.join(10)
    end.join(10)
    assert [len(written), written[-1]] == [2, "the end"]


def test_what_django_reports_as_suspicious_is_counted_and_writes_no_traceback(lines, rf):
    request = rf.get("/", REMOTE_ADDR="203.0.113.9")
    logger = logging.getLogger("django.security.SuspiciousFileOperation")
    for _ in range(2):
        logger.error("A path %s", "\x1b[2J", extra={"request": request}, exc_info=ValueError("x"))

    assert lines() == ["Refused 2 suspicious requests from 203.0.113.9 in the last minute."]


@pytest.mark.parametrize(
    ("headers", "trusted", "is_hinted"),
    [
        ([(b"x-forwarded-for", b"198.51.100.1")], [], True),
        ([(b"x-forwarded-for", b"198.51.100.1")], ["10.0.0.0/8"], False),
        ([], [], False),
    ],
)
def test_a_proxy_that_nobody_named_is_named_once_its_clients_reach_a_limit(
    settings, caplog, headers, trusted, is_hinted
):
    settings.TRUSTED_PROXIES = trusted
    connection = {"client": ("10.0.0.9", 1), "headers": headers}
    caplog.set_level(logging.WARNING)

    refused(Kind.TOKEN, connection)
    assert "TRUSTED_PROXIES" not in caplog.text
    refused(Kind.LIMIT, connection)
    assert ("10.0.0.9 reached a limit" in caplog.text) == is_hinted

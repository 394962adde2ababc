"""The chaos run, in short: everything fails once, and nothing is lost. It brings PostgreSQL and Valkey itself."""

import re

import pytest

from tests.chaos.plan import FAULTS
from tests.support.server import run


def numbers(table, line):
    """Return the whole numbers in a line of a table in Markdown."""
    found = re.search(rf"^\| \**{line}\** \|(.*)\|$", table, re.MULTILINE)
    return [int(cell) for cell in found[1].split("|") if cell.strip().isdecimal()]


@pytest.mark.timeout(300)
def test_everything_fails_and_nothing_is_lost(tmp_path):
    page = tmp_path / "page.md"

    short = run(
        *("-m", "tests.chaos", "--seconds", "20", "--clients", "20", "--seed", "1"),
        *("--markdown", str(page)),
        timeout=280,
    )

    assert short.returncode == 0, short.stdout + short.stderr
    assert "Nothing is lost." in short.stdout
    report = page.read_text()
    assert numbers(report, "lost") == numbers(report, "out of order") == [0, 0]
    assert sum(numbers(report, "delivered")) > 50
    assert {fault: numbers(report, fault)[0] for fault in FAULTS} == dict.fromkeys(FAULTS, 1)

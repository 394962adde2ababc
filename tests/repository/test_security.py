"""The table of threats: each row names the tests that show what it says, and they are there."""

import re

import pytest

from tests.repository.test_docs import ROOT, read, rows

TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
THREATS = [row for row in rows("SECURITY.md") if row[0] not in {"Threat", "---"}]


def test_there_is_a_table_of_threats():
    assert len(THREATS) > 25
    assert {len(row) for row in THREATS} == {3}


@pytest.mark.parametrize("row", THREATS, ids=lambda row: row[0][:60])
def test_each_threat_names_tests_that_exist(row):
    named = TEST.findall(row[-1])
    assert named
    assert TEST.sub("", row[-1]).strip(" ,") == "", "nothing but tests stands there"
    for path, name in named:
        assert (ROOT / path).is_file(), path
        assert re.search(rf"^(async )?def {name}\(", read(path), re.MULTILINE), f"{path}::{name}"

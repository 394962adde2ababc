"""The count in memory, against a clock of the tests."""

import threading
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access import window

SECONDS = 60


class Clock(SimpleNamespace):
    now = 1_000_000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(window, "time", clock)
    return clock


@given(
    amount=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(0, 40), st.integers(1, 30)), min_size=1, max_size=30),
)
def test_a_client_never_does_more_than_it_may_and_may_again_when_it_was_said(amount, steps):
    clock, taken = Clock(), Counter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window, "time", clock)
        counts = window.Window(seconds=SECONDS)
        for pause, tries in steps:
            clock.now += pause
            for _ in range(tries):
                wait = counts.hit(("a",), amount=amount)
                if not wait:
                    taken[clock.now // SECONDS] += 1
                    continue
                assert 1 <= wait <= 2 * SECONDS
                clock.now += wait
                assert counts.hit(("a",), amount=amount) == 0
                taken[clock.now // SECONDS] += 1
                break
    assert max(taken.values()) <= amount


def test_a_full_window_fades_in_the_next_one(clock):
    counts = window.Window(seconds=SECONDS)
    clock.now -= clock.now % SECONDS
    assert [counts.hit(("a",), amount=4) for _ in range(4)] == [0] * 4
    clock.now += SECONDS  # all four count still
    assert counts.hit(("a",), amount=4) == 15
    clock.now += 15
    assert counts.hit(("a",), amount=4) == 0
    assert counts.hit(("a",), amount=4) > 0


def test_clients_count_for_themselves_and_can_be_forgotten(clock):
    counts = window.Window(seconds=SECONDS)
    assert counts.hit(("a", "b"), amount=1) == counts.hit(("ab",), amount=1) == 0
    assert counts.hit(("a", "b"), amount=1) > 0
    counts.clear(("a", "b"))
    assert counts.hit(("a", "b"), amount=1) == 0
    assert counts.hit(("ab",), amount=1) > 0


def test_clients_without_end_take_no_memory_without_end_and_start_no_thread(clock, monkeypatch):
    monkeypatch.setattr(window, "CLIENTS_MAX", 100)
    counts, threads = window.Window(seconds=SECONDS), threading.active_count()
    for number in range(1000):
        assert counts.hit((str(number),), amount=1) == 0
    assert len(counts._now) <= 100
    assert threading.active_count() == threads
    clock.now += 2 * SECONDS
    counts.hit(("a",), amount=1)
    assert len(counts._now) + len(counts._before) == 1

"""Webhooks at a given rate, whatever becomes of the earlier ones: latency, and CPU for each."""

from typing import Any

from benchmarks.costs import each
from benchmarks.turn import Turn

RATES = (100, 400, 800, 1600)
"""Webhooks a second. The first is for CPU each, the second for the goal, the others show where it ends."""
HELD_MS = 1000
"""A rate counts as held if 99 of 100 frames are there so soon: else what waits only grows."""


def run(turn: Turn) -> dict[str, Any]:
    """Return figures by rate. After the first rate that could not be held, none is tried."""
    figures: dict[str, Any] = {}
    for rate in RATES:
        figures[str(rate)] = at(turn, rate=rate)
        if not figures[str(rate)]["held"]:
            break
    return figures


def at(turn: Turn, *, rate: float) -> dict[str, Any]:
    turn.webhooks(round(rate * turn.seconds * 1.2))
    result = turn.measured("open_loop", rate=rate, seconds=turn.seconds)
    p99 = result["frame_ms"]["p99"]
    held = p99 is not None and p99 <= HELD_MS
    return result | each(result, count=result["answered"]) | {"held": held}

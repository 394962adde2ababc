"""Webhooks as fast as they are answered, a fixed number in flight."""

from typing import Any

from benchmarks.costs import each
from benchmarks.turn import Turn

IN_FLIGHT = 24
MOST_PER_SECOND = 5000
"""Payments that are made ready, for each second."""


def run(turn: Turn) -> dict[str, Any]:
    turn.webhooks(round(MOST_PER_SECOND * turn.seconds))
    result = turn.measured("closed_loop", in_flight=IN_FLIGHT, seconds=turn.seconds)
    return result | each(result, count=result["answered"])

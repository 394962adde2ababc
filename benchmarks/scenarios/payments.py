"""The ride's backend asks for payments, a fixed number in flight; Stripe answers at once."""

from typing import Any

from benchmarks.costs import each
from benchmarks.turn import Turn

from .throughput import IN_FLIGHT

MOST_PER_SECOND = 2500


def run(turn: Turn) -> dict[str, Any]:
    turn.payments(round(MOST_PER_SECOND * turn.seconds))
    result = turn.measured("closed_loop", in_flight=IN_FLIGHT, seconds=turn.seconds)
    return result | each(result, count=result["answered"])

"""The ride's backend asks for payments while Stripe takes its time: who waits well is held up by nothing but CPU."""

from typing import Any

from benchmarks.costs import each
from benchmarks.turn import Turn

from .payments import MOST_PER_SECOND

STRIPE_SECONDS = 0.15
"""About what Stripe takes to make a Checkout Session."""
IN_FLIGHT = 128
"""Waiting for Stripe alone would allow 853 a second, more than any of the subjects has the CPU for on two cores."""


def run(turn: Turn) -> dict[str, Any]:
    turn.payments(round(MOST_PER_SECOND * turn.seconds))
    with turn.services.slow_stripe(seconds=STRIPE_SECONDS):
        result = turn.measured("closed_loop", in_flight=IN_FLIGHT, seconds=turn.seconds)
    return result | each(result, count=result["answered"])

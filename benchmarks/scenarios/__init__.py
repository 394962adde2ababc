"""What each subject is put through. Each module has one scenario: it takes a Turn, and returns its figures."""

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.turn import Turn

from . import connections, paced, payments, slow_payments, storm, throughput

SCENARIOS: dict[str, Callable[[Turn], dict[str, Any]]] = {
    "connections": connections.run,
    "paced": paced.run,
    "throughput": throughput.run,
    "payments": payments.run,
    "slow_payments": slow_payments.run,
    "storm": storm.run,
}
"""In the order in which they run: the connections of the first serve the next ones."""


def run_all(turn: Turn, *, names: Iterable[str]) -> dict[str, Any]:
    """Return the figures of each scenario by its name."""
    figures: dict[str, Any] = {}
    if "connections" not in names:
        turn.connect(connections.STEPS[-1])
    for name, run in SCENARIOS.items():
        if name in names:
            figures[name] = run(turn)
    return figures

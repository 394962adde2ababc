"""Clients connect and register, and then say nothing: what each costs in CPU, and in memory while idle."""

from typing import Any

from benchmarks.costs import USED, each
from benchmarks.turn import Turn

STEPS = (200, 600, 1000)
"""Connections when memory is taken. A connection's share is the growth from the first to the last of these:

before the first, a runtime makes room for its own work, which says nothing of the ones to come."""


def run(turn: Turn) -> dict[str, Any]:
    turn.users = STEPS[-1]
    memory = {0: turn.settled_memory()}
    sums = dict.fromkeys(("registered", "seconds", *USED), 0)
    for before, step in zip((0, *STEPS), STEPS, strict=False):
        result = turn.measured("connect", first=before, count=step - before, users=STEPS[-1])
        sums = {name: value + result[name] for name, value in sums.items()}
        memory[step] = turn.settled_memory()
    registered = sums["registered"]
    return each(sums, count=registered) | {
        "registered": registered,
        "failed": STEPS[-1] - registered,
        "per_second": registered / sums["seconds"],
        "idle_kib": (memory[STEPS[-1]] - memory[STEPS[0]]) / (STEPS[-1] - STEPS[0]),
        "memory_kib": {str(step): kib for step, kib in memory.items()},
        "split": turn.workers.connections(),
    }

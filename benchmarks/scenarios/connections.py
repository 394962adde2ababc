"""Clients connect and register, and then say nothing: what each costs in CPU, and in memory while idle."""

from typing import Any

from benchmarks.turn import Turn

STEPS = (200, 600, 1000)
"""Connections when memory is taken. A connection's share is the growth from the first to the last of these:

before the first, a runtime makes room for its own work, which says nothing of the ones to come."""


def run(turn: Turn) -> dict[str, Any]:
    turn.users = STEPS[-1]
    memory = {0: turn.settled_memory()}
    registered, cpu, seconds = 0, 0.0, 0.0
    for before, step in zip((0, *STEPS), STEPS, strict=False):
        result = turn.measured("connect", first=before, count=step - before, users=STEPS[-1])
        registered += result["registered"]
        cpu += result["cpu_seconds"]
        seconds += result["seconds"]
        memory[step] = turn.settled_memory()
    return {
        "registered": registered,
        "failed": STEPS[-1] - registered,
        "per_second": registered / seconds,
        "cpu_ms": 1000 * cpu / (registered or 1),
        "idle_kib": (memory[STEPS[-1]] - memory[STEPS[0]]) / (STEPS[-1] - STEPS[0]),
        "memory_kib": {str(step): kib for step, kib in memory.items()},
        "split": turn.workers.connections(),
    }

"""Clients connect and register, and then say nothing: what each costs in CPU, and in memory while idle."""

import time
from typing import Any

from benchmarks.turn import SETTLE_SECONDS, Turn

CONNECTIONS = 1000


def run(turn: Turn) -> dict[str, Any]:
    before = turn.workers.memory_kib()
    turn.users = CONNECTIONS
    result = turn.measured("connect", count=CONNECTIONS)
    registered = result["registered"] or 1
    time.sleep(SETTLE_SECONDS)
    return {
        "registered": result["registered"],
        "failed": result["failed"],
        "per_second": registered / result["seconds"],
        "cpu_ms": 1000 * result["cpu_seconds"] / registered,
        "idle_kib": (turn.workers.memory_kib() - before) / registered,
        "workers": turn.workers.connections(),
    }

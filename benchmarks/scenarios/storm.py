"""One worker of two is killed, and a process manager starts another: how long until its clients are well again."""

from typing import Any

from benchmarks.turn import Turn

CONNECTIONS = 2000
NOTIFIED = 200
"""How many of the lost users are sent something meanwhile, and how many others afterwards."""
NOTIFIED_PER_SECOND = 100
LIMIT_SECONDS = 12


def run(turn: Turn) -> dict[str, Any]:
    turn.generator("disconnect")
    connected = turn.connect(CONNECTIONS)
    turn.webhooks(CONNECTIONS, align=True)
    turn.generator.ask(
        "storm", pid=turn.workers.pids[0], rate=NOTIFIED_PER_SECOND, count=NOTIFIED, seconds=LIMIT_SECONDS
    )
    turn.workers.replace(0)
    result: dict[str, Any] = turn.generator.answer()
    return result | {"connected": connected["registered"]}

"""`make bench-quick`: what a webhook and a push cost, in units that a slower or busier machine does not change.

The unit is the CPU time of a fixed piece of pure Python (yardstick.py), taken again between the rounds of the same run.
Run it before a release, and compare the ratios with those of the release before.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .load.client import Generator
from .ports import free_port
from .report import Grid, console_for_tables
from .scenarios import paced
from .services import ROOT, services
from .subjects import service
from .turn import Turn, take_turn
from .yardstick import yardstick_ms

ROUNDS = 4
SECONDS = 2.0
YARDSTICKS = 8
"""How often the piece is done between two rounds."""
RATE = 100
USERS = 200
FEW_USERS, CONNECTIONS_EACH = 10, 20
"""For the cost of a push: the same webhooks, told to so many connections of the user."""


def rounds(turn: Turn) -> dict[str, list[float]]:
    """Return the CPU time in ms of each round, per webhook and per push, and the yardsticks taken before and after."""
    turn.connect(USERS)
    webhooks, sticks = _measure(turn)
    turn.generator("disconnect")
    turn.connect(FEW_USERS, each=CONNECTIONS_EACH)
    told_often, more_sticks = _measure(turn)
    once = statistics.median(webhooks)
    pushes = [(cost - once) / (CONNECTIONS_EACH - 1) for cost in told_often]
    return {"webhook": webhooks, "push": pushes, "yardstick": sticks + more_sticks}


def _measure(turn: Turn) -> tuple[list[float], list[float]]:
    costs, sticks = [], _sticks()
    for _ in range(ROUNDS):
        costs.append(paced.at(turn, rate=RATE)["cpu_ms"])
        sticks += _sticks()
    return costs, sticks


def _sticks() -> list[float]:
    return [yardstick_ms() for _ in range(YARDSTICKS)]


def grid(figures: dict[str, Sequence[float]]) -> Grid:
    """Return medians, spread, and ratios to the yardstick."""
    stick = statistics.median(figures["yardstick"])
    names = {"yardstick": "yardstick", "webhook": "webhook", "push": "push to a further connection"}
    rows = [
        [
            title,
            f"{statistics.median(figures[name]):.3f}",
            f"{min(figures[name]):.3f} to {max(figures[name]):.3f}",
            f"{statistics.median(figures[name]) / stick:.4f}",
        ]
        for name, title in names.items()
    ]
    return Grid(
        title="CPU time of the service", head=["", "ms", "smallest to largest", "yardsticks"], rows=rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quick", description=__doc__)
    parser.add_argument("--service-root", type=Path, default=ROOT, help="checkout of the service (this one)")
    options = parser.parse_args()
    with services() as running, Generator() as generator:
        port = free_port()
        subject = service(
            name="service", root=options.service_root.resolve(), services=running, port=port, workers=1
        )
        subject.prepare()
        figures: dict[str, Any] = take_turn(
            subject=subject, generator=generator, port=port, count=1, seconds=SECONDS, scenarios=rounds
        )
    console_for_tables().print(grid(figures).rich())


if __name__ == "__main__":
    main()

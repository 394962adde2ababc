"""`make bench-quick`: what a webhook, a push and a new payment cost, in units that a slower machine does not change.

A cost is CPU time, of the worker, PostgreSQL and Valkey together. The unit is that of a fixed piece of pure Python
(yardstick.py), taken again between the rounds of the same run. Exit code 1: one costs a quarter more than recorded.json
says.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import recorded
from .costs import PARTS, each
from .files import allow_files
from .grid import Grid, console_for_tables
from .load.client import Generator
from .ports import free_port
from .scenarios import paced
from .services import ROOT, services
from .subjects import service
from .turn import Turn, take_turn
from .yardstick import yardstick_ms

ROUNDS = 4
SECONDS = 2.0
YARDSTICKS = 16
"""How often the piece is done between two rounds."""
MOST_PER_SECOND = 1000
"""Requests that are made ready, for each second."""
USERS = 200
FEW_USERS, CONNECTIONS_EACH, FEW = 2, 500, 20
"""For the cost of a push: FEW webhooks a second, each to so many connections that it hardly counts itself."""
FILES = 4096
MACHINE, YARDSTICK = "machine_ms", "yardstick"
CPU = (*PARTS, MACHINE)
WEBHOOK, PUSH, PAYMENT = "webhook", "push", "new payment"
Costs = dict[str, list[float]]
"""Milliseconds of CPU in each round: by part, of the whole machine, and of the yardstick just before and after."""


def rounds(turn: Turn) -> dict[str, Costs]:
    """Return the costs by what was done."""
    turn.connect(USERS)
    webhook = _measure(lambda: one_at_a_time(turn, turn.webhooks))
    payment = _measure(lambda: one_at_a_time(turn, turn.payments))
    turn.generator("disconnect")
    turn.connect(FEW_USERS, each=CONNECTIONS_EACH)
    often = _measure(lambda: paced.at(turn, rate=FEW))
    return {WEBHOOK: webhook, PUSH: _pushes(webhook, often), PAYMENT: payment}


def one_at_a_time(turn: Turn, prepare: Callable[[int], None]) -> dict[str, Any]:
    """Return what one costs, sent once the one before is answered: so how many go together is not the machine's choice."""
    prepare(round(MOST_PER_SECOND * turn.seconds))
    result = turn.measured("closed_loop", in_flight=1, seconds=turn.seconds)
    return result | each(result, count=result["answered"])


def _measure(load: Callable[[], Mapping[str, Any]]) -> Costs:
    costs: Costs = {name: [] for name in (*CPU, YARDSTICK)}
    before = _stick()
    for _ in range(ROUNDS):
        result, after = load(), _stick()
        for name in CPU:
            costs[name].append(result[name])
        # The machine's speed changes within a run: the unit is taken on both sides of each load.
        costs[YARDSTICK].append((before + after) / 2)
        before = after
    return costs


def _stick() -> float:
    """Return what a piece takes at this moment. A mean, as a load's cost is one: both have what disturbs them in it."""
    return statistics.fmean(yardstick_ms() for _ in range(YARDSTICKS))


def _pushes(once: Costs, often: Costs) -> Costs:
    """Return what one further connection costs: what the webhooks of many cost more, shared among them."""
    more = CONNECTIONS_EACH - 1
    pushes = {name: [(value - statistics.median(once[name])) / more for value in often[name]] for name in CPU}
    return pushes | {YARDSTICK: often[YARDSTICK]}


def multiples(figures: Mapping[str, Costs]) -> dict[str, float]:
    """Return what each thing costs the whole machine, in yardsticks: the median of the rounds."""
    return {
        name: statistics.median(
            cost / stick for cost, stick in zip(costs[MACHINE], costs[YARDSTICK], strict=True)
        )
        for name, costs in figures.items()
    }


def grid(figures: Mapping[str, Costs], *, before: Mapping[str, float]) -> Grid:
    """Return medians, spread, and multiples of the yardstick beside the recorded ones."""
    rows = []
    for name, multiple in multiples(figures).items():
        known = before.get(name)
        rows.append(
            [
                name,
                *(f"{statistics.median(figures[name][part]):.3f}" for part in CPU),
                _range(figures[name][MACHINE]),
                f"{statistics.median(figures[name][YARDSTICK]):.2f}",
                f"{multiple:.4f}",
                f"{known:.4f}" if known else "",
                f"{multiple / known - 1:+.0%}" if known else "",
            ]
        )
    head = ["", "worker (ms)", "PostgreSQL", "Valkey", "whole machine", "smallest to largest", YARDSTICK]
    return Grid(title="CPU time, of one each", head=[*head, "multiple", "recorded", "change"], rows=rows)


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"


def measure(root: Path) -> dict[str, Costs]:
    """Return the raw figures of a checkout."""
    allow_files(FILES)
    with services() as running, Generator() as generator:
        port = free_port()
        subject = service(name="service", root=root, services=running, port=port, workers=1)
        subject.prepare()
        return take_turn(
            subject=subject,
            services=running,
            generator=generator,
            port=port,
            count=1,
            seconds=SECONDS,
            scenarios=rounds,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quick", description=__doc__)
    parser.add_argument("--service-root", type=Path, default=ROOT, help="checkout of the service (this one)")
    parser.add_argument(
        "--record", action="store_true", help="keep what is measured now as what later runs are held to"
    )
    options = parser.parse_args()
    sys.exit(conclude(measure(options.service_root.resolve()), record=options.record))


def conclude(figures: Mapping[str, Costs], *, record: bool, path: Path = recorded.FILE) -> int:
    """Print the table and what became dearer; return the exit code. `record`: keep the multiples instead."""
    before, measured = recorded.read(path), multiples(figures)
    console_for_tables().print(grid(figures, before=before).rich())
    if record:
        recorded.write(measured, path=path)
        return 0
    found = recorded.faults(measured, recorded=before)
    sys.stderr.writelines(f"{sentence}\n" for sentence in found)
    return 1 if found else 0


if __name__ == "__main__":
    main()

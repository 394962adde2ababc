"""`python -m benchmarks.growth.connections`: the service as users have more connections, and as there are more users.

Three questions: what a push costs where a user has 1, 10 or 100 connections; what 1,000, 5,000 and 10,000 connections
do to latency and memory; and how much more two workers take than one.
"""

import argparse
import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import costs
from benchmarks.files import allow_files
from benchmarks.grid import Grid, console_for_tables
from benchmarks.load.client import Generator
from benchmarks.ports import free_port
from benchmarks.scenarios import paced, throughput
from benchmarks.services import ROOT, services
from benchmarks.subjects import Subject, service
from benchmarks.turn import Turn, take_turn

EACH = {1: 100, 10: 100, 100: 20}
"""Connections of a user, and webhooks a second: fewer where each goes to many connections."""
CONNECTIONS = 1000
"""In the first question, whoever they belong to."""
STEPS = (1000, 5000, 10_000)
RATE = 100
IDLE_SECONDS = 5.0
CONNECT_SECONDS = 300.0
FILES = 16_384
PUSH, SIZE, WORKERS = "push", "size", "workers"


def push(turn: Turn) -> dict[str, Any]:
    """Return what a webhook costs, by the connections that its user has."""
    figures: dict[str, Any] = {}
    for each, rate in EACH.items():
        turn.connect(CONNECTIONS // each, each=each)
        figures[str(each)] = paced.at(turn, rate=rate)
        turn.generator("disconnect")
    return figures


def size(turn: Turn) -> dict[str, Any]:
    """Return memory, what idling costs, and latency, by the number of connections."""
    figures: dict[str, Any] = {"0": {"memory_kib": turn.settled_memory()}}
    before = 0
    for step in STEPS:
        turn.users = step
        result = turn.measured("connect", first=before, count=step - before, seconds=CONNECT_SECONDS)
        memory = turn.settled_memory()
        idle = turn.idle_share(seconds=IDLE_SECONDS)
        figures[str(step)] = paced.at(turn, rate=RATE) | {
            "memory_kib": memory,
            "idle_share": idle,
            "register_ms": costs.each(result, count=result["registered"])["machine_ms"],
            "failed": result["failed"],
        }
        before = step
    return figures


def rate(turn: Turn) -> dict[str, Any]:
    """Return how many webhooks are answered."""
    turn.connect(CONNECTIONS)
    return throughput.run(turn)


def grids(run: dict[str, Any]) -> list[Grid]:
    """Return the tables."""
    return [_push_grid(run[PUSH]), _size_grid(run[SIZE]), _workers_grid(run[WORKERS])]


def _push_grid(figures: dict[str, Any]) -> Grid:
    one = figures["1"]["machine_ms"]
    rows = []
    for each, load in figures.items():
        more = int(each) - 1
        rows.append(
            [
                each,
                f"{EACH[int(each)]}",
                f"{load['machine_ms']:.2f}",
                f"{(load['machine_ms'] - one) / more:.3f}" if more else "",
                _ms(load["frame_ms"]["p50"]),
                _ms(load["frame_ms"]["p99"]),
                str(load["lost"]),
            ]
        )
    return Grid(
        title=f"Connections of one user ({CONNECTIONS:,} in all), CPU of the whole machine",
        head=[
            "each",
            "webhooks/s",
            "CPU per webhook (ms)",
            "per further push (ms)",
            "p50 (ms)",
            "p99 (ms)",
            "lost",
        ],
        rows=rows,
        note="Latency is to the last of a user's connections.",
    )


def _size_grid(figures: dict[str, Any]) -> Grid:
    start = figures["0"]["memory_kib"]
    rows = [
        [
            f"{int(step):,}",
            f"{load['memory_kib'] / 1024:.0f}",
            f"{(load['memory_kib'] - start) / int(step):.1f}",
            f"{load['register_ms']:.2f}",
            f"{load['idle_share']:.1%}",
            f"{load['machine_ms']:.2f}",
            _ms(load["frame_ms"]["p50"]),
            _ms(load["frame_ms"]["p99"]),
            str(load["lost"]),
        ]
        for step, load in figures.items()
        if step != "0"
    ]
    return Grid(
        title=f"Connections in all, one for each user, {RATE} webhooks/s, CPU of the whole machine",
        head=[
            "connections",
            "memory of the workers (MiB)",
            "KiB each",
            "CPU per connect and register (ms)",
            "idle CPU (of a core)",
            "CPU per webhook (ms)",
            "p50 (ms)",
            "p99 (ms)",
            "lost",
        ],
        rows=rows,
        note="What idling costs is part of the CPU per webhook: pings, and looking for what was missed.",
    )


def _workers_grid(figures: dict[str, Any]) -> Grid:
    return Grid(
        title=f"Workers, {throughput.IN_FLIGHT} webhooks in flight, CPU of the whole machine",
        head=["workers", "webhooks/s", "CPU per webhook (ms)", "p99 to the frame (ms)", "lost"],
        rows=[
            [
                count,
                f"{load['per_second']:,.0f}",
                f"{load['machine_ms']:.2f}",
                _ms(load["frame_ms"]["p99"]),
                str(load["lost"]),
            ]
            for count, load in figures.items()
        ],
    )


def _ms(value: float | None) -> str:
    return "cannot" if value is None else f"{value:,.1f}"


def measure(*, root: Path, seconds: float) -> dict[str, Any]:
    """Return the raw figures of all three."""
    allow_files(FILES)
    with ExitStack() as stack:
        running, generator = stack.enter_context(services()), stack.enter_context(Generator())
        port = free_port()

        def subject(workers: int) -> Subject:
            return service(name="service", root=root, services=running, port=port, workers=workers)

        def turn(workers: int, scenario: Callable[[Turn], dict[str, Any]]) -> dict[str, Any]:
            return take_turn(
                subject=subject(workers),
                services=running,
                generator=generator,
                port=port,
                count=workers,
                seconds=seconds,
                scenarios=scenario,
            )

        subject(1).prepare()
        return {
            PUSH: turn(2, push),
            SIZE: turn(2, size),
            WORKERS: {str(count): turn(count, rate) for count in (1, 2)},
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth.connections", description=__doc__)
    parser.add_argument("--service-root", type=Path, default=ROOT, help="checkout of the service (this one)")
    parser.add_argument("--seconds", type=float, default=5, help="how long each load lasts (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the raw figures")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there as well")
    options = parser.parse_args()
    run = measure(root=options.service_root.resolve(), seconds=options.seconds)
    for grid in grids(run):
        console_for_tables().print(grid.rich())
    if options.json:
        options.json.write_text(json.dumps(run, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text("\n".join(grid.markdown() for grid in grids(run)))


if __name__ == "__main__":
    main()

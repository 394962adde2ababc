"""`python -m benchmarks`: the service and its peers on the same work, in turn; docs/benchmarks.md describes it."""

import argparse
import functools
import json
import sys
import time
from pathlib import Path
from typing import Any

from .load.client import Generator
from .peers import PEERS
from .ports import free_port
from .scenarios import SCENARIOS, run_all
from .self_check import self_check
from .services import ROOT, Services, services
from .subjects import Subject, peer, service
from .turn import take_turn


def main() -> None:
    options = _options()
    runs: list[dict[str, Any]] = []
    with services() as running, Generator() as generator:
        port = free_port()
        subjects = _subjects(options, running, port)
        for subject in subjects:
            subject.prepare()
        check = self_check(generator)
        _line("check", check["closed"] | {"cpu_ms": 0})
        print(check["closed"]["per_second"])
        _line("check", check["paced"] | {"cpu_ms": 0})
        for repetition in range(options.repetitions):
            for subject in subjects:
                began = time.monotonic()
                figures = take_turn(
                    subject=subject,
                    generator=generator,
                    port=port,
                    count=options.workers,
                    seconds=options.seconds,
                    scenarios=functools.partial(run_all, names=options.scenarios),
                )
                runs.append({"subject": subject.name, "repetition": repetition, "figures": figures})
                print(f"{subject.name} {repetition + 1}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    print_early(runs)
    if options.json:
        options.json.write_text(json.dumps(runs, indent=1))


def _subjects(options: argparse.Namespace, running: Services, port: int) -> list[Subject]:
    """Return who is measured, in the order in which they take turns."""
    roots = {"service": options.service_root, "baseline": options.baseline}
    names = options.subjects or ["service", *(n for n, p in PEERS.items() if p.is_available())]
    if options.baseline and "baseline" not in names:
        names.insert(1, "baseline")
    return [
        service(name=name, root=roots[name], services=running, port=port, workers=options.workers)
        if name in roots
        else peer(name=name, services=running)
        for name in names
    ]


def print_early(runs: list[dict[str, Any]]) -> None:
    for run in runs:
        figures = run["figures"]
        print(f"\n== {run['subject']} {run['repetition'] + 1}")
        if c := figures.get("connections"):
            print(
                f"connections: {c['cpu_ms']:.3f} ms CPU, {c['idle_kib']:.1f} KiB each, {c['per_second']:.0f}/s, "
                f"failed {c['failed']}, split {c['workers']}"
            )
        for rate, p in figures.get("paced", {}).items():
            _line(f"{rate}/s", p)
        if t := figures.get("throughput"):
            _line(f"{t['per_second']:.0f}/s of 24", t)
        if t := figures.get("payments"):
            _line(f"{t['per_second']:.0f}/s paym", t)
        print(figures.get("storm"))


def _line(name: str, p: dict[str, Any]) -> None:
    print(
        f"{name:>12}: cpu {p['cpu_ms']:.3f} ms  frame p50 {p['frame_ms']['p50']} p99 {p['frame_ms']['p99']}  "
        f"answer p50 {p['answer_ms']['p50']} p99 {p['answer_ms']['p99']}  late p99 {p['late_ms']['p99']}  "
        f"sent {p['sent']} answered {p['answered']} lost {p['lost']} dup {p['duplicates']} mis {p['misdirected']} "
        f"{p['statuses']}  generator {p['generator_share']:.2f}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--subjects", type=lambda text: text.split(","))
    parser.add_argument("--service-root", type=Path, default=ROOT, help="checkout of the service (this one)")
    parser.add_argument("--baseline", type=Path, help="another checkout, measured in turn with it")
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4, help="how long each load lasts")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scenarios", type=lambda text: text.split(","), default=list(SCENARIOS))
    parser.add_argument("--json", type=Path, help="file for the raw figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()

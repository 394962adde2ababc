"""`python -m benchmarks`: the service and its peers on the same work, in turn; docs/benchmarks.md describes it."""

import argparse
import functools
import json
import os
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from .figures import Runs
from .files import allow_files
from .load.client import Generator
from .peers import PEERS
from .ports import free_port
from .report import show
from .scenarios import SCENARIOS, run_all
from .self_check import self_check
from .services import ROOT, Services, services
from .subjects import Subject, peer, service
from .turn import take_turn

FILES = 4096


def main() -> None:
    options = _options()
    run = measure(options)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(run, indent=1) + "\n")
    show(Runs(runs=[run]), markdown=options.markdown, plots=options.plots)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the raw figures of a whole run."""
    allow_files(FILES)
    with services() as running, Generator() as generator:
        port = free_port()
        subjects = _subjects(options, running, port)
        for subject in subjects:
            subject.prepare()
        return {
            "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "machine": {
                "cores": os.cpu_count(),
                "system": platform.platform(),
                "python": platform.python_version(),
            },
            "options": {"workers": options.workers, "seconds": options.seconds},
            "self_check": self_check(generator),
            "turns": list(
                _turns(options, running=running, subjects=subjects, generator=generator, port=port)
            ),
        }


def _turns(
    options: argparse.Namespace,
    *,
    running: Services,
    subjects: list[Subject],
    generator: Generator,
    port: int,
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each turn: all subjects once, then all once more, so that none has the better hour."""
    console = Console(stderr=True, highlight=False)
    for repetition in range(options.repetitions):
        for subject in subjects:
            began = time.monotonic()
            figures = take_turn(
                subject=subject,
                services=running,
                generator=generator,
                port=port,
                count=options.workers,
                seconds=options.seconds,
                scenarios=functools.partial(run_all, names=options.scenarios),
            )
            console.print(
                f"{repetition + 1} of {options.repetitions}: {subject.name}, {time.monotonic() - began:.0f} s"
            )
            yield {"subject": subject.name, "repetition": repetition, "figures": figures}


def _subjects(options: argparse.Namespace, running: Services, port: int) -> list[Subject]:
    """Return what is measured, in the order in which they take turns."""
    roots = {"service": options.service_root, "baseline": options.baseline}
    names = options.subjects or ["service", *(n for n, p in PEERS.items() if p.is_available())]
    if options.baseline and "baseline" not in names:
        names.insert(1, "baseline")
    return [
        service(name=name, root=roots[name].resolve(), services=running, port=port, workers=options.workers)
        if name in roots
        else peer(name=name, services=running)
        for name in names
    ]


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--subjects", type=_names, help=f"of service,baseline,{','.join(PEERS)}; all by default"
    )
    parser.add_argument("--scenarios", type=_names, default=list(SCENARIOS), help=f"of {','.join(SCENARIOS)}")
    parser.add_argument("--repetitions", type=int, default=3, help="turns of each subject (3)")
    parser.add_argument("--seconds", type=float, default=4, help="how long each load lasts (4)")
    parser.add_argument("--workers", type=int, default=2, help="processes of each subject (2)")
    parser.add_argument("--service-root", type=Path, default=ROOT, help="checkout of the service (this one)")
    parser.add_argument("--baseline", type=Path, help="another checkout of the service, measured as well")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the raw figures")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there as well")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw the plots into this folder")
    options = parser.parse_args()
    known = {"service", "baseline", *PEERS}
    if unknown := set(options.subjects or ()) - known:
        parser.error(f"there is no {', '.join(sorted(unknown))}: choose among {', '.join(sorted(known))}")
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"there is no {', '.join(sorted(unknown))}: choose among {', '.join(SCENARIOS)}")
    if "baseline" in (options.subjects or ()) and options.baseline is None:
        parser.error("say with --baseline where that checkout is")
    return options


if __name__ == "__main__":
    main()

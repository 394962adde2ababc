"""`python -m benchmarks.report RUN.json…`: the tables, and the plots, of runs that were made before.

Several runs are taken together: medians and spreads are over the repetitions of all of them.
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .figures import CANNOT, GOALS, METRICS, SERVICE, Runs
from .plots import draw

WIDTH = 140


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table, whoever prints it."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def rich(self) -> Table:
        table = Table(title=self.title, title_justify="left", caption=self.note, caption_justify="left")
        for index, name in enumerate(self.head):
            table.add_column(name, justify="right" if index else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        lines = [self.head, ["---"] + ["---:"] * (len(self.head) - 1), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"### {self.title}\n\n{table}\n" + (f"\n{self.note}\n" if self.note else "")


def grids(runs: Runs) -> list[Grid]:
    """Return the tables that these runs have something for."""
    tables = [_medians(runs), _ratios(runs), _goals(runs), _counts(runs), _generator(runs)]
    return [table for table in tables if any(any(row[1:]) for row in table.rows)]


def _medians(runs: Runs) -> Grid:
    subjects = runs.subjects()
    rows = [
        [metric.title, *(_spread(runs.values(subject, key), metric.digits) for subject in subjects)]
        for key, metric in METRICS.items()
    ]
    turns = min((len(runs.turns(subject)) for subject in subjects), default=0)
    return Grid(
        title="Medians (smallest to largest)",
        head=["", *subjects],
        rows=rows,
        note=f"{len(runs.runs)} run(s), {turns} repetitions of each subject, in turn.",
    )


def _ratios(runs: Runs) -> Grid:
    peers = [subject for subject in runs.subjects() if subject != SERVICE]
    rows = [
        [
            metric.title + (" (more is better)" if metric.more_is_better else ""),
            *(_times(runs.ratio(key, to=peer)) for peer in peers),
        ]
        for key, metric in METRICS.items()
    ]
    return Grid(title="The service, as a multiple of each peer", head=["", *peers], rows=rows)


def _goals(runs: Runs) -> Grid:
    rows = []
    for goal in GOALS:
        judged = runs.judge(goal)
        if judged is not None:
            holds, ours, bound = judged
            digits = METRICS[goal.metric].digits
            rows.append([goal.text, _number(ours, digits), _number(bound, digits), "yes" if holds else "NO"])
    return Grid(title="Goals", head=["", "service", "goal", "holds"], rows=rows)


def _counts(runs: Runs) -> Grid:
    """Count over all loads but the storm, in which connections are lost on purpose."""
    rows = []
    for subject in runs.subjects():
        loads = [
            load
            for figures in runs.turns(subject)
            for load in [
                *figures.get("paced", {}).values(),
                figures.get("throughput"),
                figures.get("payments"),
            ]
            if load
        ]
        sums = {
            key: sum(load[key] for load in loads)
            for key in ("sent", "answered", "unanswered", "lost", "duplicates", "misdirected")
        }
        refused = sums["sent"] - sums["answered"] - sums["unanswered"]
        unheard = sum(
            figures["storm"]["never_told"] + figures["storm"]["never_told_later"]
            for figures in runs.turns(subject)
            if "storm" in figures
        )
        rows.append(
            [
                subject,
                *(str(sums[key]) for key in ("sent", "answered")),
                str(refused),
                str(sums["unanswered"]),
                *(str(sums[key]) for key in ("lost", "duplicates", "misdirected")),
                str(unheard),
            ]
        )
    return Grid(
        title="Requests and frames",
        head=[
            "",
            "sent",
            "answered",
            "refused",
            "too late",
            "frames lost",
            "twice",
            "to others",
            "lost in storms",
        ],
        rows=rows,
        note="Too late: no answer 3 s after the end of a load. Lost: answered, and no frame by then.",
    )


def _generator(runs: Runs) -> Grid:
    columns = [_generator_in(run) for run in runs.runs]
    return Grid(
        title="Is the load generator the limit?",
        head=["", *(run["made"] for run in runs.runs)],
        rows=[[name, *(column[name] for column in columns)] for name in columns[0]],
        note="How late requests were sent is part of every latency: it counts from when they were due.",
    )


def _generator_in(run: Mapping[str, Any]) -> dict[str, str]:
    """Return how near its limits the generator came in a run."""
    check, turns = run["self_check"], [turn["figures"] for turn in run["turns"]]
    full = [figures["throughput"] for figures in turns if "throughput" in figures]
    paced = [load for figures in turns for load in figures.get("paced", {}).values() if load["held"]]
    return {
        "webhooks/s against a trivial server": f"{check['closed']['per_second']:,.0f}",
        "most webhooks/s in this run": f"{max((load['per_second'] for load in full), default=0):,.0f}",
        "its largest share of a core": f"{max((load['generator_share'] for load in full + paced), default=0):.0%}",
        f"sends late at {check['rate']}/s against a trivial server, p99 (ms)": f"{check['paced']['late_ms']['p99']:.2f}",
        "sends late in this run, worst p99 (ms)": f"{max((load['late_ms']['p99'] for load in paced), default=0):.2f}",
    }


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return ""
    middle = values[len(values) // 2] if len(values) % 2 else sum(values[len(values) // 2 - 1 :][:2]) / 2
    text = _number(middle, digits)
    if len(values) == 1 or values[0] == CANNOT:
        return text
    return f"{text} ({_number(values[0], digits)} to {_number(values[-1], digits)})"


def _number(value: float, digits: int) -> str:
    return "cannot" if math.isinf(value) else f"{value:,.{digits}f}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def console_for_tables() -> Console:
    """Return a console on which the tables fit, also where no terminal says how wide it is."""
    return Console(width=None if sys.stdout.isatty() else WIDTH)


def show(runs: Runs, *, markdown: Path | None, plots: Path | None) -> None:
    """Print the tables; write them, and draw the plots, where asked to."""
    console = console_for_tables()
    for grid in grids(runs):
        console.print(grid.rich())
    if markdown is not None:
        markdown.write_text("\n".join(grid.markdown() for grid in grids(runs)))
    if plots is not None:
        for path in draw(runs, folder=plots):
            console.print(f"drawn: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN.json")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there as well")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw the plots into this folder")
    options = parser.parse_args()
    show(Runs.read(options.runs), markdown=options.markdown, plots=options.plots)


if __name__ == "__main__":
    main()

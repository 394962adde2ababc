"""The results as a page: how long each piece of work takes at each size, and by which plan."""

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

Run = dict[str, Any]
"""One size: `notifications`, `version` of PostgreSQL, `tables` with rows and bytes, `work` as `measure` writes it."""

INTRODUCTION = """\
# The database as it grows

Made by `python -m benchmarks.growth.database --markdown FILE`, with PostgreSQL {version} of its own on a machine with
{cores} cores, which does the service's part of the work as well. PostgreSQL is as it comes, with 1 GB of `shared_buffers`.
`benchmarks/growth/fill.sql` says what is in the database. What is timed are the service's own functions and pages.

- **median**, **p95**: of 200 calls one after the other (pages: 15), each of another user or payment where that makes a
  difference, after a first one.
- **first**: the first call, while PostgreSQL has read nothing of it since it started. The system may have.
- **CPU**: of the service's own process, on average. The rest is PostgreSQL's, and waiting.
- **indexes**: those that served the statement that took longest. Both are of the largest size.

Times are milliseconds. Other work on the machine makes them longer; it changes no plan.
"""


def markdown(runs: Sequence[Run]) -> str:
    """Return the page for runs of different sizes, the smallest first."""
    parts = [
        INTRODUCTION.format(version=runs[0]["version"], cores=os.cpu_count()),
        "## What is in it\n",
        _table(_tables(runs)),
        *_times(runs),
        "## Faults\n",
        _faults(runs),
        f"## Plans at {_millions(runs[-1])}\n",
        "Of each piece of work the statement that takes longest, as PostgreSQL carried it out. A page has 8 KiB.\n",
        *_plans(runs[-1]),
    ]
    return "\n".join(parts)


def faults(runs: Sequence[Run]) -> list[str]:
    """Return a line for each statement that reads more than its answer needs."""
    return [
        f"{_millions(run)}, {work['name']}: {fault}"
        for run in runs
        for work in run["work"]
        for plan in work["plans"]
        for fault in plan["faults"]
    ]


def _faults(runs: Sequence[Run]) -> str:
    found = faults(runs)
    if found:
        return "".join(f"- {fault}\n" for fault in found)
    return (
        "None: no statement reads a big table from end to end, and none reads, sorts or throws away more than 10,000 "
        "rows. Two may: the answer of `overdue.open_payments` is every payment that is open, and a batch of `prune` "
        "without removing passes all that is old in long feeds.\n"
    )


def _tables(runs: Sequence[Run]) -> Iterator[list[str]]:
    yield ["table", *(f"{_millions(run)}: {what}" for run in runs for what in ("rows", "MiB, with indexes"))]
    for name in runs[0]["tables"]:
        yield [name, *(f"{n:,}" for run in runs for n in _size(*run["tables"][name]))]


def _size(rows: int, size: int) -> tuple[int, int]:
    return rows, size >> 20


def _times(runs: Sequence[Run]) -> Iterator[str]:
    for group, pieces in groupby(
        zip(*(run["work"] for run in runs), strict=True), key=lambda p: p[0]["group"]
    ):
        yield f"## {group}\n"
        yield _table(_group(runs, list(pieces)))


def _group(runs: Sequence[Run], pieces: Sequence[Sequence[dict[str, Any]]]) -> Iterator[list[str]]:
    sizes = [f"{_millions(run)}: median · p95 · first" for run in runs]
    yield ["what", "statements", *sizes, "CPU", "indexes"]
    for piece in pieces:
        newest = piece[-1]
        times = [
            " · ".join(_milliseconds(one[name]) for name in ("median_ms", "p95_ms", "first_ms"))
            for one in piece
        ]
        indexes = ", ".join(_slowest(newest)["indexes"]) if newest["plans"] else ""
        statements = str(newest["statements"] or "")
        yield [newest["name"], statements, *times, _milliseconds(newest["cpu_ms"]), indexes]


def _plans(run: Run) -> Iterator[str]:
    for work in run["work"]:
        if work["plans"]:
            plan = _slowest(work)
            lines = "\n".join(plan["lines"])
            yield f"**{work['name']}**, {_milliseconds(plan['milliseconds'])} ms\n\n```\n{lines}\n```\n"


def _slowest(work: dict[str, Any]) -> dict[str, Any]:
    slowest: dict[str, Any] = max(work["plans"], key=lambda plan: plan["milliseconds"])
    return slowest


def _milliseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"  # noqa: PLR2004 two digits say enough


def _millions(run: Run) -> str:
    return f"{run['notifications'] / 1e6:g} M"


def _table(rows: Iterator[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *body]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)

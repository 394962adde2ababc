"""The tables of runs: medians, whose CPU it is, ratios to the peers, goals, and whether anything was lost."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .figures import SERVICE, Runs
from .grid import Grid
from .metrics import CANNOT, GOALS, LOADS, METRICS, PARTS, WAL, Figures, metric_of

LOST, LOST_IN_STORMS = "frames lost", "lost in storms"


def grids(runs: Runs) -> list[Grid]:
    """Return the tables that these runs have something for."""
    tables = [
        _medians(runs),
        _parts(runs),
        _wal(runs),
        _ratios(runs),
        _goals(runs),
        _counts(runs),
        _generator(runs),
    ]
    return [table for table in tables if any(any(row[1:]) for row in table.rows)]


def _medians(runs: Runs) -> Grid:
    subjects = runs.subjects()
    rows = [
        [metric.title, *(_spread(runs.values(subject, key), metric.digits) for subject in subjects)]
        for key, metric in METRICS.items()
        if not metric.is_part
    ]
    turns = min((len(runs.turns(subject)) for subject in subjects), default=0)
    return Grid(
        title="Medians (smallest to largest)",
        head=["", *subjects],
        rows=rows,
        note=f"{len(runs.runs)} run(s), {turns} repetitions of each subject, in turn.",
    )


def _parts(runs: Runs) -> Grid:
    """Show whose the CPU is: `1.40 + 1.05 + 0.06`, each the median of its own."""
    subjects = runs.subjects()
    rows = [
        [f"CPU {load.each} (ms)", *(_sum(runs, subject, name) for subject in subjects)]
        for name, load in LOADS.items()
    ]
    return Grid(title=f"Whose CPU it is: {' + '.join(PARTS.values())}", head=["", *subjects], rows=rows)


def _sum(runs: Runs, subject: str, load: str) -> str:
    metrics = [metric_of(load, figure) for figure in PARTS]
    medians = [m for metric in metrics if (m := runs.median(subject, metric)) is not None]
    if len(medians) < len(metrics):
        return ""  # an older run, in which the workers alone were counted
    return "cannot" if CANNOT in medians else " + ".join(_number(median, 2) for median in medians)


def _wal(runs: Runs) -> Grid:
    subjects = runs.subjects()
    rows = [
        [
            f"Bytes {load.each}",
            *(_spread(runs.values(subject, metric_of(name, WAL)), 0) for subject in subjects),
        ]
        for name, load in LOADS.items()
        if name != "register"  # nothing is written then
    ]
    return Grid(title="PostgreSQL's log (WAL)", head=["", *subjects], rows=rows)


def _ratios(runs: Runs) -> Grid:
    peers = [subject for subject in runs.subjects() if subject != SERVICE]
    rows = [
        [
            metric.title + (" (more is better)" if metric.more_is_better else ""),
            *(_times(runs.ratio(key, to=peer)) for peer in peers),
        ]
        for key, metric in METRICS.items()
        if not metric.is_part
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
    if rows:
        sums = _sums(runs.turns(SERVICE))
        lost = sums[LOST] + sums[LOST_IN_STORMS]
        rows.append(["Nothing lost", str(lost), "0", "NO" if lost else "yes"])
    return Grid(title="Goals", head=["", "service", "goal", "holds"], rows=rows)


def _counts(runs: Runs) -> Grid:
    rows = [
        [subject, *(str(count) for count in _sums(runs.turns(subject)).values())]
        for subject in runs.subjects()
    ]
    return Grid(
        title="Requests and frames",
        head=["", *_sums([])],
        rows=rows,
        note="Too late: no answer 3 s after the end of a load. Lost: answered, and no frame by then.",
    )


def _sums(turns: Sequence[Figures]) -> dict[str, int]:
    """Count over all loads but the storm, in which connections are lost on purpose."""
    loads = [
        load
        for figures in turns
        for load in [
            *figures.get("paced", {}).values(),
            *(figures[name] for name in ("throughput", "payments", "slow_payments") if name in figures),
        ]
    ]
    sent, answered, too_late, lost, twice, to_others = (
        sum(load[key] for load in loads)
        for key in ("sent", "answered", "unanswered", "lost", "duplicates", "misdirected")
    )
    storms = [figures["storm"] for figures in turns if "storm" in figures]
    return {
        "sent": sent,
        "answered": answered,
        "refused": sent - answered - too_late,
        "too late": too_late,
        LOST: lost,
        "twice": twice,
        "to others": to_others,
        LOST_IN_STORMS: sum(storm["never_told"] + storm["never_told_later"] for storm in storms),
    }


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

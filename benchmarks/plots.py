"""The plots, from the raw figures: the machine's CPU, latency over rate, throughput, memory over connections."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator

from .figures import Runs
from .metrics import CANNOT, LOADS, MACHINE, PARTS, Figures, metric_of

COLOURS = {
    "service": "#0b6bcb",
    "baseline": "#8bb8e8",
    "node": "#3c873a",
    "fastapi": "#d9730d",
    "channels": "#8a4fbf",
}
LABELS = {
    "service": "this service",
    "baseline": "this service, before",
    "node": "Node (http, ws, pg, ioredis)",
    "fastapi": "FastAPI (uvicorn, asyncpg)",
    "channels": "Channels as in tutorials",
}
PART_COLOURS = ("#0b6bcb", "#e0a100", "#c5221f")
"""Of the parts of the machine's CPU, in the order of PARTS."""
CPU_LOADS = ("100", "400")
STYLE: Any = {  # of matplotlib's rcParams
    "axes.edgecolor": "#9aa0a6",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "figure.facecolor": "white",
    "font.size": 10,
    "grid.color": "#e4e7eb",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "benchmarks",
}


def draw(runs: Runs, *, folder: Path) -> list[Path]:
    """Draw what the runs have figures for; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    plots: Mapping[str, tuple[Callable[[Figure, Runs], None], str]] = {
        "cpu": (_cpu, metric_of(CPU_LOADS[0], "postgresql_ms")),
        "latency": (_latency, "p99_100"),
        "throughput": (_throughput, "throughput"),
        "memory": (_memory, "idle"),
    }
    paths = []
    for name, (plot, metric) in plots.items():
        if not any(runs.values(subject, metric) for subject in runs.subjects()):
            continue
        with mpl.rc_context(STYLE):
            figure = Figure(figsize=(8, 4.2), layout="constrained")
            plot(figure, runs)
            path = folder / f"{name}.svg"
            figure.savefig(path, metadata={"Date": None})
        paths.append(path)
    return paths


def _cpu(figure: Figure, runs: Runs) -> None:
    """Draw a bar for each subject, of what the workers, PostgreSQL and Valkey use: the medians of each."""
    subjects = runs.subjects()
    panels = figure.subplots(1, len(CPU_LOADS), sharey=True)
    for axes, load in zip(panels, CPU_LOADS, strict=True):
        for place, subject in enumerate(subjects):
            parts = [runs.median(subject, metric_of(load, part)) for part in PARTS]
            _stack(axes, place, parts, whole=runs.median(subject, metric_of(load, MACHINE)))
        axes.set(title=f"CPU {LOADS[load].each}", xlabel="milliseconds")
        axes.margins(x=0.14)
        axes.grid(visible=False, axis="y")
    panels[0].set_yticks(range(len(subjects)), [LABELS.get(subject, subject) for subject in subjects])
    panels[0].invert_yaxis()
    keys = [Patch(color=colour, label=who) for colour, who in zip(PART_COLOURS, PARTS.values(), strict=True)]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))


def _stack(axes: Axes, place: int, parts: Sequence[float | None], *, whole: float | None) -> None:
    left, text = 0.0, "cannot" if whole == CANNOT else "not measured"
    known = [part for part in parts if part is not None and part != CANNOT]
    if whole is not None and len(known) == len(parts):
        text = f"{whole:,.2f}"
        for colour, part in zip(PART_COLOURS, known, strict=True):
            axes.barh(place, part, left=left, color=colour, height=0.6)
            left += part
    axes.annotate(text, (left, place), (6, 0), textcoords="offset points", va="center")


def _latency(figure: Figure, runs: Runs) -> None:
    axes = figure.subplots()
    for subject in runs.subjects():
        held = [
            (int(rate), load["frame_ms"]["p99"] if load["held"] else None)
            for figures in runs.turns(subject)
            for rate, load in figures.get("paced", {}).items()
        ]
        _line(axes, subject, _by_x([(x, CANNOT if y is None else y) for x, y in held]))
    axes.set(
        title="Webhook due → frame at the user's socket, 99th percentile",
        xlabel="webhooks per second, at random moments",
        ylabel="milliseconds",
        xscale="log",
        yscale="log",
    )
    rates = sorted({int(r) for s in runs.subjects() for f in runs.turns(s) for r in f.get("paced", {})})
    axes.set_xticks(rates, [f"{rate:,}" for rate in rates])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.legend()


def _throughput(figure: Figure, runs: Runs) -> None:
    axes = figure.subplots()
    subjects = [subject for subject in runs.subjects() if runs.values(subject, "throughput")]
    for place, subject in enumerate(subjects):
        values = runs.values(subject, "throughput")
        middle = statistics.median(values)
        axes.barh(place, middle, color=_colour(subject), height=0.6)
        axes.plot(values, [place] * len(values), "|", color="#202124", markersize=9)
        axes.annotate(f"{middle:,.0f}", (max(values), place), (6, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(subjects)), [LABELS.get(subject, subject) for subject in subjects])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.set(title="Webhooks answered, 24 in flight", xlabel="per second: median, and each repetition")


def _memory(figure: Figure, runs: Runs) -> None:
    axes = figure.subplots()
    for subject in runs.subjects():
        points = [point for figures in runs.turns(subject) for point in _growth(figures)]
        _line(axes, subject, _by_x(points))
    axes.set(
        title="Memory of the workers, less what they had before",
        xlabel="registered connections, idle",
        ylabel="MiB",
    )
    axes.legend()


def _growth(figures: Figures) -> list[tuple[int, float]]:
    memory = figures.get("connections", {}).get("memory_kib", {})
    return [(int(count), (kib - memory["0"]) / 1024) for count, kib in memory.items()]


def _by_x(points: Sequence[tuple[int, float]]) -> dict[int, list[float]]:
    return {x: sorted(y for at, y in points if at == x) for x in sorted({at for at, _ in points})}


def _line(axes: Axes, subject: str, points: Mapping[int, Sequence[float]]) -> None:
    """Draw medians with a band from the smallest to the largest; the line ends where the subject cannot go on."""
    possible = {x: ys for x, ys in points.items() if not math.isinf(statistics.median(ys))}
    finite = {x: [y for y in ys if not math.isinf(y)] for x, ys in possible.items()}
    if not finite:
        return
    xs = list(finite)
    colour = _colour(subject)
    axes.fill_between(
        xs,
        [min(ys) for ys in finite.values()],
        [max(ys) for ys in finite.values()],
        color=colour,
        alpha=0.15,
        lw=0,
    )
    medians = [statistics.median(ys) for ys in finite.values()]
    axes.plot(xs, medians, "o-", color=colour, label=LABELS.get(subject, subject))
    if len(possible) < len(points):
        axes.annotate(
            "cannot go on",
            (xs[-1], medians[-1]),
            (6, 4),
            textcoords="offset points",
            color=colour,
            fontsize=9,
        )


def _colour(subject: str) -> str:
    return COLOURS.get(subject, "#5f6368")

"""The raw figures of runs, and what is made of them: medians with their spread, ratios and goals."""

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CANNOT = math.inf
"""A figure of a subject that could not do the work."""
SERVICE = "service"
NODE, FASTAPI = "node", "fastapi"
Figures = Mapping[str, Any]
"""What one turn found out, by scenario."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """`read` takes a turn's figures; it raises KeyError where the scenario was left out."""

    title: str
    read: Callable[[Figures], float]
    digits: int = 1
    more_is_better: bool = False


def _paced(rate: int, read: Callable[[Figures], float | None]) -> Callable[[Figures], float]:
    def value(figures: Figures) -> float:
        at = figures["paced"].get(str(rate))  # missing: a lower rate could not be held
        found = read(at) if at is not None and at["held"] else None
        return CANNOT if found is None else found

    return value


def _or_cannot(value: float | None) -> float:
    return CANNOT if value is None else value


METRICS: Mapping[str, Metric] = {
    "cpu": Metric(title="CPU per webhook at 100/s (ms)", read=_paced(100, lambda at: at["cpu_ms"]), digits=2),
    "p99_100": Metric(
        title="p99 to the frame at 100/s (ms)", read=_paced(100, lambda at: at["frame_ms"]["p99"])
    ),
    "p99_400": Metric(
        title="p99 to the frame at 400/s (ms)", read=_paced(400, lambda at: at["frame_ms"]["p99"])
    ),
    "throughput": Metric(
        title="Webhooks/s, 24 in flight",
        read=lambda figures: figures["throughput"]["per_second"],
        digits=0,
        more_is_better=True,
    ),
    "cpu_full": Metric(
        title="CPU per webhook, 24 in flight (ms)",
        read=lambda figures: figures["throughput"]["cpu_ms"],
        digits=2,
    ),
    "idle": Metric(
        title="Idle memory per connection (KiB)", read=lambda figures: figures["connections"]["idle_kib"]
    ),
    "register": Metric(
        title="CPU per connect and register (ms)",
        read=lambda figures: figures["connections"]["cpu_ms"],
        digits=2,
    ),
    "payments": Metric(
        title="New payments/s, 24 in flight",
        read=lambda figures: figures["payments"]["per_second"],
        digits=0,
        more_is_better=True,
    ),
    "payments_cpu": Metric(
        title="CPU per new payment (ms)", read=lambda figures: figures["payments"]["cpu_ms"], digits=2
    ),
    "storm_registered": Metric(
        title="Storm: all registered again (s)",
        read=lambda figures: _or_cannot(figures["storm"]["registered_seconds"]),
    ),
    "storm_current": Metric(
        title="Storm: all told what they missed (s)",
        read=lambda figures: _or_cannot(figures["storm"]["current_seconds"]),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The service's median is held against `share` of the best among `peers`."""

    text: str
    metric: str
    peers: Sequence[str]
    share: float


GOALS = (
    Goal(text="At least 1.25 times Node's throughput", metric="throughput", peers=[NODE], share=1.25),
    Goal(
        text="p99 at 400/s at most half the best peer's",
        metric="p99_400",
        peers=[NODE, FASTAPI, "channels"],
        share=0.5,
    ),
    Goal(text="CPU at 100/s no more than FastAPI's", metric="cpu", peers=[FASTAPI], share=1),
    Goal(text="Idle memory no more than FastAPI's", metric="idle", peers=[FASTAPI], share=1),
    Goal(
        text="CPU per connect and register no more than FastAPI's",
        metric="register",
        peers=[FASTAPI],
        share=1,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Runs:
    """One run or several together."""

    runs: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, paths: Iterable[Path]) -> "Runs":
        return cls(runs=[json.loads(path.read_text()) for path in paths])

    def subjects(self) -> list[str]:
        """Return their names, in the order of the first run."""
        return list(dict.fromkeys(turn["subject"] for run in self.runs for turn in run["turns"]))

    def turns(self, subject: str) -> list[Figures]:
        return [turn["figures"] for run in self.runs for turn in run["turns"] if turn["subject"] == subject]

    def values(self, subject: str, metric: str) -> list[float]:
        """Return a figure of each repetition, in order of size; none where it was not measured."""
        found = []
        for figures in self.turns(subject):
            try:
                found.append(METRICS[metric].read(figures))
            except KeyError:
                continue
        return sorted(found)

    def median(self, subject: str, metric: str) -> float | None:
        values = self.values(subject, metric)
        return statistics.median(values) if values else None

    def ratio(self, metric: str, *, to: str) -> float | None:
        """Return the service's median as a multiple of a peer's; None where either has none."""
        ours, theirs = self.median(SERVICE, metric), self.median(to, metric)
        if ours is None or theirs is None or CANNOT in {ours, theirs}:
            return None
        return ours / theirs

    def judge(self, goal: Goal) -> tuple[bool, float, float] | None:
        """Return whether a goal holds, the service's median, and the one it must reach; None where one is missing."""
        ours = self.median(SERVICE, goal.metric)
        theirs = [m for peer in goal.peers if (m := self.median(peer, goal.metric)) is not None]
        if ours is None or not theirs:
            return None
        more = METRICS[goal.metric].more_is_better
        bound = goal.share * (max(theirs) if more else min(theirs))
        return (ours >= bound if more else ours <= bound), ours, bound

"""The raw figures of runs, and what is made of them: medians with their spread, ratios and goals."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .metrics import CANNOT, METRICS, Figures, Goal

SERVICE = "service"


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
            # An older run may lack it, or it was left out: then this turn says nothing.
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
        return ours != CANNOT and (ours >= bound if more else ours <= bound), ours, bound

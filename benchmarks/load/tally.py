"""What became of each request of a run, and of the frame that it had to lead to."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.rides import number_in

_UNKNOWN = math.inf
_REFUSED = "refused or lost"


class Tally:
    """Rides `first` to `first + count - 1`. Every time is of `time.perf_counter`, in seconds.

    `each` is how many connections a user has: a frame is there when all of them have it.
    """

    def __init__(self, *, first: int, count: int, kind: bytes, each: int = 1) -> None:
        self.first = first
        self.due = [_UNKNOWN] * count
        self.sent = [_UNKNOWN] * count
        self.answered = [_UNKNOWN] * count
        self.framed = [_UNKNOWN] * count
        self.begun = 0
        self.open_frames = 0
        self.open_answers = 0
        self.statuses: Counter[str] = Counter()
        self.duplicates = 0
        self.misdirected = 0
        self._kind = kind
        self._missing = [each] * count

    def begin(self, index: int, *, due: float) -> None:
        """Note that a request is sent now which was due then."""
        self.due[index] = due
        self.sent[index] = time.perf_counter()
        self.begun += 1
        self.open_answers += 1
        self.open_frames += 1

    def answer(self, index: int, status: int) -> None:
        self.open_answers -= 1
        self.statuses[str(status or _REFUSED)] += 1
        if status in {200, 201}:
            self.answered[index] = time.perf_counter()

    def frame(self, text: bytes, *, user: int, users: int) -> None:
        """Note a frame that a user got."""
        number = number_in(text)
        index = number - self.first
        if not 0 <= index < len(self.due) or self._kind not in text:
            return
        if number % users != user:
            self.misdirected += 1
        elif not self._missing[index]:
            self.duplicates += 1
        else:
            self._missing[index] -= 1
            if not self._missing[index]:
                self.framed[index] = time.perf_counter()
                self.open_frames -= 1

    def is_complete(self) -> bool:
        return self.open_answers <= 0 and self.open_frames <= 0

    def summary(self, *, expect_frames: bool = True) -> dict[str, Any]:
        """Return counts, and times in milliseconds from the moment when each request was due."""
        begun = [index for index, due in enumerate(self.due) if due != _UNKNOWN]
        # Only what was answered promised a frame.
        ok = [index for index in begun if self.answered[index] != _UNKNOWN]
        lost = sum(self.framed[index] == _UNKNOWN for index in ok)
        return {
            "sent": len(begun),
            "answered": len(ok),
            "unanswered": self.open_answers,
            "statuses": dict(self.statuses),
            "lost": lost if expect_frames else 0,
            "duplicates": self.duplicates,
            "misdirected": self.misdirected,
            "answer_ms": spread([self.answered[i] - self.due[i] for i in begun]),
            "frame_ms": spread([self.framed[i] - self.due[i] for i in begun]),
            "late_ms": spread([self.sent[i] - self.due[i] for i in begun]),
        }


def spread(seconds: Sequence[float]) -> dict[str, float | None]:
    """Return percentiles in milliseconds, None where what never came would be among them."""
    ordered = sorted(seconds)
    return {
        name: _at(ordered, share) for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1))
    }


def _at(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    value = ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]
    return None if math.isinf(value) else round(value * 1000, 3)

"""What is made of the raw figures of one turn, and what the service is held to."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CANNOT = math.inf
"""A figure of a subject that could not do the work."""
NODE, FASTAPI, CHANNELS = "node", "fastapi", "channels"
Figures = Mapping[str, Any]
"""What one turn found out, by scenario."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """`read` takes a turn's figures; it raises KeyError where the scenario was left out, or did not count this yet.

    `is_part`: what it counts is part of another metric, or explains it.
    """

    title: str
    read: Callable[[Figures], float]
    digits: int = 1
    more_is_better: bool = False
    is_part: bool = False


def _paced(rate: int) -> Callable[[Figures], Figures | None]:
    def load(figures: Figures) -> Figures | None:
        at: Figures | None = figures["paced"].get(str(rate))  # missing: a lower rate could not be held
        return at

    return load


def _scenario(name: str) -> Callable[[Figures], Figures | None]:
    return lambda figures: figures[name]


@dataclass(frozen=True, kw_only=True)
class Load:
    """A load of which CPU is reported. `each` says for what, `read` returns the load's own figures."""

    each: str
    read: Callable[[Figures], Figures | None]


LOADS: Mapping[str, Load] = {
    "100": Load(each="per webhook at 100/s", read=_paced(100)),
    "400": Load(each="per webhook at 400/s", read=_paced(400)),
    "full": Load(each="per webhook, 24 in flight", read=_scenario("throughput")),
    "register": Load(each="per connect and register", read=_scenario("connections")),
    "payments": Load(each="per new payment", read=_scenario("payments")),
    "slow_payments": Load(each="per new payment, slow Stripe", read=_scenario("slow_payments")),
}
PARTS: Mapping[str, str] = {"cpu_ms": "workers", "postgresql_ms": "PostgreSQL", "valkey_ms": "Valkey"}
"""What uses the CPU, by the name of the figure."""
MACHINE, WAL = "machine_ms", "wal_each"


def _of(load: str, read: Callable[[Figures], float | None]) -> Callable[[Figures], float]:
    """Return what reads a figure of a load: CANNOT where it was tried and not held, or never answered."""

    def value(figures: Figures) -> float:
        found = LOADS[load].read(figures)
        if found is None:
            return CANNOT
        figure = read(found)  # before the question whether it was held: an older run may not have it at all
        return CANNOT if figure is None or not found.get("held", True) else figure

    return value


def _each(load: str, figure: str) -> Callable[[Figures], float]:
    return _of(load, lambda found: found[figure])


def metric_of(load: str, figure: str) -> str:
    """Return the name in METRICS of a load's CPU, the whole machine's or a part's, or of its WAL."""
    return f"{load}.{figure}"


def _costs(load: str) -> dict[str, Metric]:
    """Return what one thing costs: of the whole machine, of each part, and in PostgreSQL's log."""
    each = LOADS[load].each
    metrics = {
        metric_of(load, MACHINE): Metric(
            title=f"CPU {each}, whole machine (ms)", read=_each(load, MACHINE), digits=2
        )
    }
    for figure, who in PARTS.items():
        metrics[metric_of(load, figure)] = Metric(
            title=f"CPU {each}, {who} (ms)", read=_each(load, figure), digits=2, is_part=True
        )
    metrics[metric_of(load, WAL)] = Metric(
        title=f"WAL {each} (bytes)", read=_each(load, WAL), digits=0, is_part=True
    )
    return metrics


METRICS: Mapping[str, Metric] = {
    **_costs("100"),
    **_costs("400"),
    **_costs("full"),
    "throughput": Metric(
        title="Webhooks/s, 24 in flight", read=_each("full", "per_second"), digits=0, more_is_better=True
    ),
    "p99_100": Metric(
        title="p99 to the frame at 100/s (ms)", read=_of("100", lambda at: at["frame_ms"]["p99"])
    ),
    "p99_400": Metric(
        title="p99 to the frame at 400/s (ms)", read=_of("400", lambda at: at["frame_ms"]["p99"])
    ),
    "idle": Metric(title="Idle memory per connection (KiB)", read=_each("register", "idle_kib")),
    **_costs("register"),
    "payments": Metric(
        title="New payments/s, 24 in flight",
        read=_each("payments", "per_second"),
        digits=0,
        more_is_better=True,
    ),
    **_costs("payments"),
    "slow_payments": Metric(
        title="New payments/s, slow Stripe",
        read=_each("slow_payments", "per_second"),
        digits=0,
        more_is_better=True,
    ),
    "slow_payments_p99": Metric(
        title="p99 to the answer, slow Stripe (ms)",
        read=_of("slow_payments", lambda load: load["answer_ms"]["p99"]),
        digits=0,
    ),
    **_costs("slow_payments"),
    "storm_registered": Metric(
        title="Storm: all registered again (s)",
        read=lambda figures: _or_cannot(figures["storm"]["registered_seconds"]),
    ),
    "storm_current": Metric(
        title="Storm: all sent what they missed (s)",
        read=lambda figures: _or_cannot(figures["storm"]["current_seconds"]),
    ),
}


def _or_cannot(value: float | None) -> float:
    return CANNOT if value is None else value


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The service's median is held against `share` of the best among `peers`."""

    text: str
    metric: str
    peers: Sequence[str]
    share: float


GOALS = (
    Goal(
        text="Whole machine's CPU at 100/s no more than FastAPI's",
        metric=metric_of("100", MACHINE),
        peers=[FASTAPI],
        share=1,
    ),
    Goal(
        text="Whole machine's CPU at 400/s no more than FastAPI's",
        metric=metric_of("400", MACHINE),
        peers=[FASTAPI],
        share=1,
    ),
    Goal(text="At least 1.25 times Node's throughput", metric="throughput", peers=[NODE], share=1.25),
    Goal(
        text="p99 at 400/s at most half the best peer's",
        metric="p99_400",
        peers=[NODE, FASTAPI, CHANNELS],
        share=0.5,
    ),
    Goal(text="New payments at least FastAPI's rate", metric="payments", peers=[FASTAPI], share=1),
    Goal(text="Idle memory no more than FastAPI's", metric="idle", peers=[FASTAPI], share=1),
    Goal(
        text="Whole machine's CPU per connect and register no more than FastAPI's",
        metric=metric_of("register", MACHINE),
        peers=[FASTAPI],
        share=1,
    ),
)

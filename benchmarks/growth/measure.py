"""Times each piece of work and asks PostgreSQL how it does it: the process that has Django in it.

`python -m benchmarks.growth.measure`, started by `benchmarks.growth.database` with the settings of the service, writes
JSON to its standard output.
"""

import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.growth.work import Work


def main() -> None:
    import django  # noqa: PLC0415 nothing of the service can be imported before it is set up

    django.setup()
    from benchmarks.growth import pages, work  # noqa: PLC0415
    from benchmarks.growth.sample import Sample  # noqa: PLC0415

    sample = Sample()
    groups = {
        "Sockets": work.sockets(sample),
        "Webhooks": work.events(sample),
        "HTTP API": pages.api_lists(sample),
        "Admin": pages.admin_pages(sample),
        "Schedule and replay": work.schedule(sample),
    }
    json.dump(
        [{"group": name} | one for name, pieces in groups.items() for one in _measure(pieces)], sys.stdout
    )


def _measure(pieces: "Iterable[Work]") -> Iterator[dict[str, Any]]:
    for piece in pieces:
        first, warm, cpu = _time(piece)
        statements, plans = _plans(piece)
        yield {
            "name": piece.name,
            "first_ms": first,
            "median_ms": statistics.median(warm),
            "p95_ms": statistics.quantiles(warm, n=20, method="inclusive")[-1],
            "cpu_ms": cpu,
            "statements": statements,
            "plans": plans,
        }
        sys.stderr.write(f"{piece.name}: {statistics.median(warm):.1f} ms\n")


def _time(piece: "Work") -> tuple[float, list[float], float]:
    """Return how long the first time took, each other time, and this process's share on average (milliseconds)."""
    times = []
    cpu = 0.0
    for _ in range(piece.times + 1):
        what = piece.draw()
        before, began = time.process_time(), time.perf_counter()
        piece.do(what)
        times.append((time.perf_counter() - began) * 1000)
        cpu += (time.process_time() - before) * 1000
    # The first time loads and plans what the others find there.
    return times[0], times[1:], cpu / len(times)


def _plans(piece: "Work") -> tuple[int, list[dict[str, Any]]]:
    """Return how many statements it takes, and the plans of those that read a big table."""
    from django.db import connection  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    from benchmarks.growth.plans import explain  # noqa: PLC0415

    what = piece.draw()
    with CaptureQueriesContext(connection) as captured:
        piece.do(what)
    statements = [query["sql"] for query in captured.captured_queries]
    plans = [explain(statement, rows_max=piece.rows_max) for statement in statements]
    return len(statements), [asdict(plan) for plan in plans if plan and plan.of_big_table]


if __name__ == "__main__":
    main()

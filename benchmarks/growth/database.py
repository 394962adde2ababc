"""What the service asks its database for, timed with a million notifications in it and with ten.

`python -m benchmarks.growth.database [--notifications 1000000,10000000] [--json FILE] [--markdown FILE]` starts a
PostgreSQL of its own for each size, fills it, and measures. Exit code 1: a statement reads more than its answer needs.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.growth import data, report


def main() -> None:
    options = _options()
    try:
        runs = [_run(notifications) for notifications in options.notifications]
    except data.NoRoomError as error:
        sys.exit(str(error))
    page = report.markdown(runs)
    if options.json:
        options.json.write_text(json.dumps(runs, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(page)
    else:
        sys.stdout.write(page)
    if found := report.faults(runs):
        sys.exit("\n".join(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth.database", description=__doc__)
    parser.add_argument(
        "--notifications",
        type=lambda text: sorted(int(number) for number in text.split(",")),
        default=[1_000_000, 10_000_000],
        help="how many, or several separated by commas; 300,000 or more (1000000,10000000)",
    )
    parser.add_argument("--json", type=Path, help="a file for the results, plans included")
    parser.add_argument("--markdown", type=Path, help="a file for the page, instead of standard output")
    return parser.parse_args()


def _run(notifications: int) -> report.Run:
    """Return what was measured at one size. Write on standard error what is under way."""
    sys.stderr.write(f"Filling a database with {notifications:,} notifications…\n")
    with data.filled_database(notifications=notifications) as url:
        return {"notifications": notifications, **data.describe(url), "work": _measure(url)}


def _measure(url: str) -> list[dict[str, Any]]:
    """Measure in a process of its own: Django is set up once in a process, for one database."""
    command = [sys.executable, "-m", "benchmarks.growth.measure"]
    done = subprocess.run(command, env=data.environment(url), stdout=subprocess.PIPE, check=True)  # noqa: S603
    work: list[dict[str, Any]] = json.loads(done.stdout)
    return work


if __name__ == "__main__":
    main()

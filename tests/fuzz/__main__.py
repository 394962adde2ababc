"""`python -m tests.fuzz`: every campaign at length, a table, and exit code 0 if nothing was harmed, else 1."""

import argparse
import logging
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import django
from rich.console import Console

from tests.support import services  # it sets what Django's settings read

os.environ["DJANGO_SETTINGS_MODULE"] = "payments_project.settings"
django.setup()
logging.disable()  # a client library logs what the other side does to it

from tests.fuzz import report  # noqa: E402
from tests.fuzz.attack import attack  # noqa: E402
from tests.fuzz.campaigns import CAMPAIGNS  # noqa: E402
from tests.fuzz.target import attacked  # noqa: E402


def main() -> int:
    """Run with the options of the command line; return the exit code."""
    options = parse()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Thousands of connections are files of this process too.
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    console = Console(width=None if sys.stdout.isatty() else 160)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    console.print(f"Seed {options.seed}; {services.STACK}; the log is in {folder}", highlight=False)
    with attacked(folder) as target:
        rows = run(target, options, console)
    console.print(report.table(rows))
    report.say_notes(rows, console)
    if options.markdown:
        with options.markdown.open("a") as file:
            file.write(report.markdown(rows))
    if report.is_harmless(rows):
        console.print("Nothing is harmed.")
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    for fault in (fault for row in rows for fault in row.faults):
        console.print(fault, highlight=False, markup=False)
    console.print(f"Something is harmed. The log is kept in {folder}", highlight=False)
    return 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="for all together; default %(default)s")
    parser.add_argument("--seed", type=int, default=7, help="of the first round; default %(default)s")
    parser.add_argument("--markdown", type=Path, help="add the table to this file")
    return parser.parse_args()


def run(target, options, console):
    """Warm up with each campaign, then run each in rounds until its share of the time is over; return a row for each.

    So what a part loads at its first use, and what the process keeps of the most that was held at once, is there before
    the memory is compared.
    """
    rounds = {campaign: [] for campaign in CAMPAIGNS}
    for campaign in CAMPAIGNS:
        for seed in range(options.seed, options.seed + campaign.warm_up):
            rounds[campaign].append(attack(target, campaign, seed=seed, inputs=campaign.at_length))
    for campaign, done in rounds.items():
        ends = time.monotonic() + options.seconds / len(CAMPAIGNS)
        # At least one round after the warm-up, however short the time: else nothing would be compared.
        while (len(done) == campaign.warm_up or time.monotonic() < ends) and not done[-1].crashes:
            seed = options.seed + len(done)
            done.append(attack(target, campaign, seed=seed, inputs=campaign.at_length))
        console.print(f"{campaign.name}: {len(done)} rounds", highlight=False)
    rows = [report.Row.of(campaign, done) for campaign, done in rounds.items()]
    try:
        target.journey()
    except (AssertionError, OSError) as error:
        rows[-1].faults.append(f"Afterwards the guide's journey fails: {error}")
    return rows


if __name__ == "__main__":
    sys.exit(main())

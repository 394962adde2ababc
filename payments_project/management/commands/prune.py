"""`manage.py prune`: remove old webhook events and notifications."""

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from rich.progress import Progress, TextColumn

from database.errors import describe
from notifications import retention as notifications
from payments.management.terminal import progress
from payments.webhooks import retention as payments

DAYS_MOST = 36_500


def days(least: int, text: str) -> int:
    """Return a number of days, `least` or more."""
    # Ten digits are too many already. int() refuses thousands of them with a message of its own.
    if text.isascii() and text.isdecimal() and least <= int(text[:10]) <= DAYS_MOST:
        return int(text)
    message = f"{text!r} is no number of days to keep them for: send {least} to {DAYS_MOST}"
    raise argparse.ArgumentTypeError(message)


class Command(BaseCommand):
    """Remove old webhook events, payment intents of other integrations, and notifications."""

    help = (
        "Remove old webhook events and notifications, in small batches. Events that were not applied, payments and "
        "their history are never removed. Exit code: 0 done, 1 the database failed, 2 wrong usage."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options."""
        for name, what, room in (
            ("--events-days", "webhook events", payments),
            ("--notifications-days", "notifications", notifications),
        ):
            parser.add_argument(
                name,
                type=partial(days, room.DAYS_LEAST),
                default=room.DAYS_DEFAULT,
                metavar="N",
                help=f"keep {what} for N days, {room.DAYS_LEAST} or more; default: %(default)s",
            )
        parser.add_argument("--dry-run", action="store_true", help="count what would go, and remove nothing")

    def handle(self, *_: Any, **options: Any) -> None:
        """Remove, with counters on a terminal, and print the totals."""
        events = {"days": options["events_days"], "dry_run": options["dry_run"]}
        news = {"days": options["notifications_days"], "dry_run": options["dry_run"]}
        work = {
            "webhook events": payments.prune(**events),
            "payment intents of other integrations": payments.prune_foreign_intents(**events),
            "notifications": notifications.prune(**news),
        }
        column = TextColumn("{task.description} {task.completed:,.0f}")
        try:
            with progress(column, verbosity=options["verbosity"]) as bar:
                totals = {title: _total(batches, bar, title) for title, batches in work.items()}
        except DatabaseError as error:
            message = (
                f"The database failed ({describe(error)}); batches before that are removed. Run it again."
            )
            raise CommandError(message) from error
        did = "Would remove" if options["dry_run"] else "Removed"
        of_others = totals["payment intents of other integrations"]
        foreign = f", {of_others} payment intents of other integrations" if of_others else ""
        self.stdout.write(
            f"{did} {totals['webhook events']} webhook events{foreign} and {totals['notifications']} notifications."
        )


def _total(batches: Iterator[int], bar: Progress, title: str) -> int:
    task = bar.add_task(title.capitalize(), total=None)
    total = 0
    for number in batches:
        total += number
        bar.update(task, completed=total)
    return total

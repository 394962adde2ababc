"""`manage.py prune`: remove old webhook events and notifications."""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from rich.progress import Progress, TextColumn

from database.errors import describe
from notifications import retention as notifications
from payments import retention as payments
from payments.management.output import progress

DAYS_MOST = 36_500


def days(*, least: int) -> Callable[[str], int]:
    """Return a parser of a number of days, `least` or more."""

    def read(text: str) -> int:
        if text.isascii() and text.isdecimal() and least <= int(text[:10]) <= DAYS_MOST:
            return int(text)
        message = f"{text!r} is no number of days to keep them for: send {least} to {DAYS_MOST}"
        raise argparse.ArgumentTypeError(message)

    return read


class Command(BaseCommand):
    """Remove old webhook events, payment intents of other integrations, and notifications."""

    help = (
        "Remove old webhook events and notifications, in small batches. Events that were not applied, payments and "
        "their history are never removed. Exit code: 0 done, 1 the database failed, 2 wrong usage."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--events-days",
            type=days(least=payments.DAYS_LEAST),
            default=payments.DAYS_DEFAULT,
            metavar="N",
            help=f"keep webhook events for N days, {payments.DAYS_LEAST} or more; default: %(default)s",
        )
        parser.add_argument(
            "--notifications-days",
            type=days(least=notifications.DAYS_LEAST),
            default=notifications.DAYS_DEFAULT,
            metavar="N",
            help=f"keep notifications for N days, {notifications.DAYS_LEAST} or more; default: %(default)s",
        )
        parser.add_argument("--dry-run", action="store_true", help="count what would go, and remove nothing")

    def handle(self, *_: Any, **options: Any) -> None:
        """Remove, with counters on a terminal, and print the totals."""
        dry_run = options["dry_run"]
        try:
            column = TextColumn("{task.description} {task.completed:,.0f}")
            with progress(column, verbosity=options["verbosity"]) as bar:
                events = _total(
                    payments.prune(days=options["events_days"], dry_run=dry_run), bar, "Webhook events"
                )
                intents = _total(
                    payments.prune_foreign_intents(days=options["events_days"], dry_run=dry_run),
                    bar,
                    "Payment intents of other integrations",
                )
                removed = _total(
                    notifications.prune(days=options["notifications_days"], dry_run=dry_run),
                    bar,
                    "Notifications",
                )
        except DatabaseError as error:
            message = (
                f"The database failed ({describe(error)}); batches before that are removed. Run it again."
            )
            raise CommandError(message) from error
        did = "Would remove" if dry_run else "Removed"
        foreign = f", {intents} payment intents of other integrations" if intents else ""
        self.stdout.write(f"{did} {events} webhook events{foreign} and {removed} notifications.")


def _total(batches: Iterator[int], bar: Progress, title: str) -> int:
    task = bar.add_task(title, total=None)
    total = 0
    for number in batches:
        total += number
        bar.update(task, completed=total)
    return total

"""`manage.py fetch_webhooks`: ask Stripe for what never arrived, and finish what was cut short."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.models import QuerySet
from django.utils import timezone
from rich.console import Console
from rich.progress import Progress

from payments.management.arguments import count, moment
from payments.management.output import tell
from payments.management.summary import Tally
from payments.models import Payment
from payments.reconciliation import incomplete, missing_events, stale_payments
from payments.reconciliation.each import End, Result, Row, look_at_each
from payments.stripe import events, gateway

PENDING_MINUTES = 60

Item = TypeVar("Item")


class Command(BaseCommand):
    help = (
        "Ask Stripe for events that never arrived and for payments that are open for long, and complete what was cut "
        "short in the middle of a call to Stripe. Made to run on a schedule. Exit code: 0 done, 1 something failed or "
        "Stripe did not answer, 2 wrong usage."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        of_events = parser.add_argument_group("events alone, and of them only those")
        of_events.add_argument("--since", type=moment, help="made at or after: 2026-01-31T12:00:00Z, 2h, 7d")
        of_events.add_argument("--until", type=moment, help="made before")
        of_events.add_argument(
            "--type",
            action="append",
            default=[],
            dest="types",
            choices=events.handled_types(),
            metavar="TYPE",
            help="of an event type; repeatable",
        )
        of_events.add_argument(
            "--undelivered", action="store_true", help="that Stripe has not been able to deliver"
        )
        of_payments = parser.add_argument_group(
            "payments alone, and of them only those, whatever their state"
        )
        of_payments.add_argument("--payment", type=UUID, help="with this id")
        of_payments.add_argument("--ride", help="of this ride")
        of_payments.add_argument("--user", help="of this user")
        parser.add_argument(
            "--pending-minutes",
            type=count,
            default=PENDING_MINUTES,
            help=f"ask for a payment when it has been open so long, and again as often ({PENDING_MINUTES})",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="ask Stripe, write nothing, say what would be"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        chosen, window = _chosen(options), _window(options)
        if chosen and window:
            raise CommandError("Choose events or payments: Stripe lists no events by payment.", returncode=2)
        if chosen and not Payment.objects.filter(**chosen).exists():
            raise CommandError("There is no such payment: check --payment, --ride and --user.")
        self._tally = Tally()
        self._dry_run = options["dry_run"]
        self._is_quiet = options["verbosity"] == 0 or not sys.stderr.isatty()
        trouble = ""
        try:
            if not chosen:
                self._fetch(window)
            if not window:
                self._finish(chosen)
                self._compare(chosen, pending=timedelta(minutes=options["pending_minutes"]))
        except gateway.StripeError as error:
            trouble = _describe(error)
        except DatabaseError as error:
            trouble = f"The database failed ({type(error).__name__}). What was done stays done: run the command again."
        self.stdout.write(self._tally.summary(dry_run=self._dry_run))
        if trouble:
            raise CommandError(trouble)
        if failures := self._tally.failures():
            raise CommandError(f"{failures} of them failed; each is tried again the next time.")

    def _fetch(self, window: missing_events.Window | None) -> None:
        """Fetch the events of the window; without one, all since the last time, and apply what was left lying."""
        began = timezone.now()
        self._tally.asked = 0
        if window is None:
            self._count_steps("Stored events", missing_events.apply_unfinished(dry_run=self._dry_run))
        since_last = missing_events.Window(since=missing_events.since_last_fetch())
        self._count_steps("Missed events", missing_events.fetch(window or since_last, dry_run=self._dry_run))
        if window is None and not self._dry_run:
            missing_events.note_whole_fetch(began=began)

    def _count_steps(self, title: str, steps: Iterator[missing_events.Step]) -> None:
        for step in self._watch(title, steps, total=None, size=lambda step: step.asked):
            self._tally.add(step)
            for outcome in (*step.outcomes, *step.stored_before):
                tell(self, outcome)

    def _finish(self, chosen: dict[str, Any]) -> None:
        """Complete, or give up, what was cut short."""
        payments = incomplete.payments().filter(**chosen)
        requests = incomplete.refund_requests().filter(**{f"payment__{k}": v for k, v in chosen.items()})
        for result in self._look("Unfinished payments", payments, incomplete.finish_payment):
            self._tally.unfinished[result.end] += 1
        for result in self._look("Unfinished refunds", requests, incomplete.finish_refund):
            self._tally.refunds[result.end] += 1

    def _compare(self, chosen: dict[str, Any], *, pending: timedelta) -> None:
        """Ask how payments are that have been open for long, or the chosen ones."""
        due = stale_payments.open_payments(asked_before=timezone.now() - pending)
        if chosen:
            due = Payment.objects.filter(session_id__isnull=False, **chosen).order_by("created_at")
        self._tally.compared = Counter()
        for result in self._look("Open payments", due, stale_payments.compare):
            self._tally.compared[result.end] += 1

    def _look(self, title: str, due: QuerySet[Row], look: Callable[..., Result]) -> Iterator[Result]:
        """Look at each that is due, tell what came of it, and hand that on to be counted."""
        results = look_at_each(due, lambda row: look(row, dry_run=self._dry_run))
        for result in self._watch(title, results, total=due.count(), size=lambda _: 1):
            if result.end is not End.UNCHANGED:
                (self.stderr if result.end is End.FAILED else self.stdout).write(result.text)
            yield result

    def _watch(
        self, title: str, items: Iterator[Item], *, total: int | None, size: Callable[[Item], int]
    ) -> Iterator[Item]:
        """Hand items on, and show on a terminal how many there were."""
        is_hidden = self._is_quiet or total == 0
        with Progress(console=Console(stderr=True), disable=is_hidden) as progress:
            task = progress.add_task(title, total=total)
            for item in items:
                progress.advance(task, size(item))
                yield item


def _chosen(options: dict[str, Any]) -> dict[str, Any]:
    """Return which payments are asked for: none given, those that are due."""
    wanted = {"pk": options["payment"], "ride_id": options["ride"], "user_id": options["user"]}
    return {name: value for name, value in wanted.items() if value is not None}


def _window(options: dict[str, Any]) -> missing_events.Window | None:
    """Return which events are asked for; None: no option says. Raises CommandError."""
    names = ("since", "until", "types", "undelivered")
    if not any(options[name] for name in names):
        return None
    earliest = timezone.now() - gateway.EVENTS_KEPT
    since = options["since"] or earliest
    if since < earliest - timedelta(hours=1):
        raise CommandError("Stripe keeps events for 30 days: give --since 30d, or later.", returncode=2)
    if options["until"] and options["until"] <= since:
        told = "--since" if options["since"] else "30 days ago: Stripe keeps events no longer"
        raise CommandError(f"Give an --until that is later than {told}.", returncode=2)
    return missing_events.Window(
        since=max(since, earliest),
        until=options["until"],
        types=tuple(options["types"]),
        undelivered=options["undelivered"],
    )


def _describe(error: gateway.StripeError) -> str:
    if isinstance(error, gateway.StripeUnavailable):
        return f"Stripe does not answer: {error} What was done stays done; run the command again."
    if isinstance(error, gateway.StripeKeyRefused):
        return (
            f"Stripe refuses STRIPE_SECRET_KEY ({error}). Set it to a key that may do what this command does."
        )
    return f"Stripe refuses: {error}"

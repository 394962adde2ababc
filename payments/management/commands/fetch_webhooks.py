"""`manage.py fetch_webhooks`: fetch missing events, finish interrupted requests, check stale payments."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.models import QuerySet
from django.utils import timezone

from access.escaping import escape
from database.errors import describe
from payments.management.summary import Summary
from payments.management.terminal import count, moment, progress, write_result
from payments.models import Payment
from payments.reconciliation import incomplete, missing_events, stale_payments
from payments.reconciliation.each import End, Result, Row, each
from payments.stripe import events, gateway
from payments.webhooks import parked

PENDING_MINUTES = 60

Item = TypeVar("Item")


class Command(BaseCommand):
    """Fetch, finish and check, in this order."""

    help = (
        "Fetch events that never arrived, finish payments and refunds whose call to Stripe was interrupted, and check "
        "payments that have been open for long. Run it on a schedule. Exit code: 0 done, 1 something failed or "
        "Stripe did not answer, 2 wrong usage."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options."""
        of_events = parser.add_argument_group("fetch events only, and of them those")
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
            "check payments only, and of them those, whatever their state"
        )
        of_payments.add_argument("--payment", type=UUID, dest="pk", help="with this id")
        of_payments.add_argument("--ride", dest="ride_id", help="of this ride")
        of_payments.add_argument("--user", dest="user_id", help="of this user")
        parser.add_argument(
            "--pending-minutes",
            type=count,
            default=PENDING_MINUTES,
            help=f"check a payment once it has been open for so long, and again after as long ({PENDING_MINUTES})",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="ask Stripe, write nothing, and say what would change"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Fetch, finish and compare; write a summary. Raises CommandError if anything failed."""
        window = _window(options)
        chosen = {name: options[name] for name in ("pk", "ride_id", "user_id") if options[name] is not None}
        if chosen and window:
            raise CommandError("Choose events or payments: Stripe lists no events by payment.", returncode=2)
        if chosen and not Payment.objects.filter(**chosen).exists():
            raise CommandError("There is no such payment: check --payment, --ride and --user.")
        self._summary, self._options = Summary(), options
        trouble = ""
        try:
            if not chosen:
                self._fetch(window)
            if not window:
                self._finish(chosen)
                self._compare(chosen)
        except gateway.StripeError as error:
            trouble = _describe(error)
        except DatabaseError as error:
            trouble = (
                f"The database failed ({describe(error)}). What was done stays done: run the command again."
            )
        self.stdout.write(self._summary.sentence(dry_run=options["dry_run"]))
        if trouble:
            raise CommandError(trouble)
        if failures := self._summary.failures():
            raise CommandError(f"{failures} of them failed; each is tried again the next time.")

    def _fetch(self, window: missing_events.Window | None) -> None:
        """Fetch the events of the window; without one, all since the last fetch, and apply stored ones first."""
        began, dry_run = timezone.now(), self._options["dry_run"]
        self._summary.listed = 0
        if window is None:
            if not dry_run:
                self._summary.unmatched = parked.give_up_waiting(before=began - gateway.EVENTS_KEPT)
            self._summary.old_failures = missing_events.reported_failures()
            self._count("Stored events", missing_events.apply_stored(dry_run=dry_run))
        since_last = missing_events.Window(since=missing_events.since_last_fetch())
        self._count("Missing events", missing_events.fetch(window or since_last, dry_run=dry_run))
        if window is None and not dry_run:
            # Only a whole run moves the mark: one that an error ends, or that fetched a part, leaves events
            # out.
            missing_events.note_full_fetch(began=began)

    def _count(self, title: str, steps: Iterator[missing_events.Step]) -> None:
        for step in self._watch(title, steps, total=None, size=lambda step: step.listed):
            self._summary.add(step)
            for result in (*step.outcomes, *step.stored_before):
                write_result(self, result)

    def _finish(self, chosen: dict[str, Any]) -> None:
        """Complete or give up interrupted requests."""
        payments = incomplete.payments().filter(**chosen)
        refunds = incomplete.refund_requests().filter(**{f"payment__{k}": v for k, v in chosen.items()})
        counts = self._summary
        self._process("Unfinished payments", payments, incomplete.finish_payment, counts.payments)
        self._process("Unfinished refunds", refunds, incomplete.finish_refund, counts.refunds)

    def _compare(self, chosen: dict[str, Any]) -> None:
        """Compare payments that have been open for long, or the chosen ones, with Stripe."""
        pending = timedelta(minutes=self._options["pending_minutes"])
        due = stale_payments.open_payments(checked_before=timezone.now() - pending)
        if chosen:
            due = Payment.objects.filter(session_id__isnull=False, **chosen).order_by("created_at")
        self._summary.compared = Counter()
        self._process("Open payments", due, stale_payments.compare, self._summary.compared)

    def _process(
        self, title: str, due: QuerySet[Row], process: Callable[..., Result], ends: Counter[End]
    ) -> None:
        """Process each row that is due, write its result, and count it in `ends` at once: the next may raise."""
        results = each(due, lambda row: process(row, dry_run=self._options["dry_run"]))
        for result in self._watch(title, results, total=due.count(), size=lambda _: 1):
            if result.end is not End.UNCHANGED:
                (self.stderr if result.end is End.FAILED else self.stdout).write(escape(result.text))
            ends[result.end] += 1

    def _watch(
        self, title: str, items: Iterator[Item], *, total: int | None, size: Callable[[Item], int]
    ) -> Iterator[Item]:
        """Yield the items, and show on a terminal how many there were."""
        with progress(verbosity=0 if total == 0 else self._options["verbosity"]) as bar:
            task = bar.add_task(title, total=total)
            for item in items:
                bar.advance(task, size(item))
                yield item


def _window(options: dict[str, Any]) -> missing_events.Window | None:
    """Return the events that the options choose; None if they choose none. Raises CommandError."""
    names = ("since", "until", "types", "undelivered")
    if not any(options[name] for name in names):
        return None
    earliest = timezone.now() - gateway.EVENTS_KEPT
    since = options["since"] or earliest
    if since < earliest - timedelta(hours=1):
        raise CommandError("Stripe keeps events for 30 days: give --since 30d, or later.", returncode=2)
    if options["until"] and options["until"] <= since:
        start = "--since" if options["since"] else "30 days ago: Stripe keeps events no longer"
        raise CommandError(f"Give an --until that is later than {start}.", returncode=2)
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
        return f"Stripe refuses STRIPE_SECRET_KEY ({error}). Set it to a key with the permissions that this command needs."
    return f"Stripe refuses: {error}"

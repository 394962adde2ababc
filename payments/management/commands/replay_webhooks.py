"""`manage.py replay_webhooks`: apply stored events again."""

import argparse
from collections import Counter
from dataclasses import fields
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from database.errors import describe
from payments.management.terminal import count, moment, progress, write_result
from payments.webhooks.replay import Selection, replay, select


class Command(BaseCommand):
    """Apply stored events again."""

    help = (
        "Apply stored webhook events again, oldest first. Events that were applied before change nothing and notify "
        "nobody, unless a payment's state was wrong. Exit code: 0 done, 1 some events failed, 2 wrong usage."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("event_ids", nargs="*", metavar="EVENT", help="Stripe's event ids (evt_…)")
        parser.add_argument("--all", action="store_true", help="every stored event")
        parser.add_argument("--failed", action="store_true", help="only events that could not be applied")
        parser.add_argument(
            "--type", action="append", default=[], dest="types", help="an event type; repeatable"
        )
        parser.add_argument(
            "--payment", type=UUID, dest="payment_id", help="events of the payment with this id"
        )
        parser.add_argument("--ride", dest="ride_id", help="events of this ride's payments")
        parser.add_argument("--user", dest="user_id", help="events of this user's payments")
        parser.add_argument("--since", type=moment, help="received at or after: 2026-01-31T12:00:00Z, 2h, 7d")
        parser.add_argument("--until", type=moment, help="received before")
        parser.add_argument("--limit", type=count, help="at most this many, the oldest")
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would change, and change nothing"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Apply the chosen events; write a summary. Raises CommandError if an event fails."""
        selection = Selection(**{field.name: options[field.name] for field in fields(Selection)})
        # A command without options must not apply everything by mistake.
        if selection.is_everything() and not options["all"]:
            raise CommandError("Say which events: event ids, --failed, --type, … or --all.", returncode=2)
        event_ids = select(selection)
        # Before anything is applied: an id that is mistyped would go unnoticed otherwise.
        if unknown := sorted(set(options["event_ids"]) - set(event_ids)):
            raise CommandError(f"No such event, or another option leaves it out: {', '.join(unknown)}.")
        try:
            states, changes = self._replay(event_ids, options)
        except DatabaseError as error:
            raise CommandError(
                f"The database failed ({describe(error)}). What was done stays done: run the command again."
            ) from error
        counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items())) or "none"
        would = "would change" if options["dry_run"] else "changed"
        self.stdout.write(f"{states.total()} events ({counts}); {changes} statuses {would}.")
        if failed := states["failed"]:
            kept = (
                "would fail" if options["dry_run"] else "failed; they are kept as failed, with their errors"
            )
            raise CommandError(f"{failed} events {kept}.")

    def _replay(self, event_ids: list[str], options: dict[str, Any]) -> tuple[Counter[str], int]:
        """Write each change at once; return how many events ended in which state, and how many statuses changed."""
        states: Counter[str] = Counter()
        changes = 0
        with progress(verbosity=options["verbosity"]) as bar:
            task = bar.add_task("Replaying", total=len(event_ids))
            for batch in replay(event_ids, dry_run=options["dry_run"]):
                states.update(result.state for result in batch)
                changes += sum(write_result(self, result) for result in batch)
                bar.advance(task, len(batch))
        return states, changes

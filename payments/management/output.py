"""What the commands write: progress on a terminal, and the result of each event."""

import sys

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import Progress, ProgressColumn

from payments.models import WebhookEvent
from payments.webhooks.apply import EventResult


def progress(*columns: ProgressColumn, verbosity: int) -> Progress:
    """Return a progress bar on standard error. Hide it if that is no terminal, or if `--verbosity` is 0."""
    is_hidden = verbosity == 0 or not sys.stderr.isatty()
    return Progress(*columns, console=Console(stderr=True), disable=is_hidden)


def write_result(command: BaseCommand, result: EventResult) -> int:
    """Write which statuses an event changed, or why it failed; return how many statuses it changed."""
    for change in result.changes:
        ride = f"payment {change.payment.pk}, ride {change.payment.ride_id}"
        command.stdout.write(f"{ride}: {change.before} → {change.after} ({result.event_id})")
    if result.state == WebhookEvent.State.FAILED:
        command.stderr.write(f"{result.event_id}: {result.error}")
    return len(result.changes)

"""Read times and numbers from the command line; write progress, and the result of each event."""

import argparse
import re
import sys
from contextlib import suppress
from datetime import datetime

from django.core.management.base import BaseCommand
from django.utils import timezone
from rich.console import Console
from rich.progress import Progress, ProgressColumn

from access import arguments
from access.escaping import escape
from payments.models import WebhookEvent
from payments.webhooks.apply import EventResult


def moment(text: str) -> datetime:
    """Return a time from ISO 8601 (UTC unless it names another zone), or from how long ago it was: 30m, 2h, 7d."""
    with suppress(ValueError):
        return timezone.now() - arguments.span(text)
    try:
        return arguments.moment(text)
    except ValueError:
        message = f"{text!r} is no time: send 2026-01-31, 2026-01-31T12:00:00Z, or how long ago: 30m, 2h, 7d"
        raise argparse.ArgumentTypeError(message) from None


def count(text: str) -> int:
    """Return a number of at least 1."""
    # `int` takes signs, white space, underscores and digits of other scripts as well.
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number to count by: send 1 or more")
    return int(text)


def progress(*columns: ProgressColumn, verbosity: int) -> Progress:
    """Return a progress bar on standard error. Hide it if that is no terminal, or if `--verbosity` is 0."""
    is_hidden = verbosity == 0 or not sys.stderr.isatty()
    return Progress(*columns, console=Console(stderr=True), disable=is_hidden)


def write_result(command: BaseCommand, result: EventResult) -> int:
    """Write which statuses an event changed, or why it failed; return how many statuses it changed."""
    for change in result.changes:
        ride = f"payment {change.payment.pk}, ride {change.payment.ride_id}"
        command.stdout.write(escape(f"{ride}: {change.before} → {change.after} ({result.event_id})"))
    if result.state == WebhookEvent.State.FAILED:
        command.stderr.write(escape(f"{result.event_id}: {result.error}"))
    return len(result.changes)

"""Read times and numbers from the command line."""

import argparse
import re
from datetime import UTC, datetime, timedelta

from django.utils import timezone

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def moment(text: str) -> datetime:
    """Return a time from ISO 8601 (UTC unless it names another zone), or from how long ago it was: 30m, 2h, 7d."""
    if match := re.fullmatch(r"(\d{1,5})([mhd])", text):
        return timezone.now() - int(match[1]) * _UNITS[match[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no time: send 2026-01-31, 2026-01-31T12:00:00Z, or how long ago: 30m, 2h, 7d"
        raise argparse.ArgumentTypeError(message) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def count(text: str) -> int:
    """Return a number of at least 1."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number to count by: send 1 or more")
    return int(text)

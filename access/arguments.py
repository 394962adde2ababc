"""Read times, as people write them on the command line and in forms."""

import re
from datetime import UTC, datetime, timedelta

from django.utils import timezone

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def span(text: str) -> timedelta:
    """Return a length of time: 30m, 12h or 90d. Raises ValueError."""
    # Five digits of days are 273 years. Many more would lead past the last year that a datetime can hold.
    match = re.fullmatch(r"([0-9]{1,5})([mhd])", text)
    if not match:
        raise ValueError(f"{text!r} is no length of time: send it as 30m, 12h or 90d")
    return int(match[1]) * _UNITS[match[2]]


def moment(text: str) -> datetime:
    """Return a time from ISO 8601, UTC unless it names another zone. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def end(text: str) -> datetime | None:
    """Return a time from ISO 8601 (UTC unless it names another zone) or from how far off it is; None for `never`.

    Raises ValueError.
    """
    if text == "never":
        return None
    try:
        return timezone.now() + span(text)
    except ValueError:
        pass
    try:
        return moment(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: send 2027-01-31, 2027-01-31T12:00:00Z, how far off it is (30m, 12h, 90d), or never"
        ) from None

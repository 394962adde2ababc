"""Every duration of the sandbox. Where Stripe takes days, the sandbox takes seconds."""

from datetime import datetime, timedelta

RETRIES = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16, 32, 64))
"""How long after each failed attempt the next delivery follows."""
DELIVERY_CLAIM = timedelta(seconds=30)
"""How long a process has a delivery to itself: longer than an attempt can take."""
TIMEOUTS = (3, 10)
"""Seconds to connect to the webhook endpoint, and to wait for its response."""
LATE_BY = timedelta(seconds=5)
"""How late events are in the mode that delivers late."""
POLL_SECONDS = 1
"""How often an idle worker looks for work."""
REFUND_PENDING = timedelta(minutes=1)
"""How long a refund to a bank account is pending."""
TIME_TO_RESPOND = timedelta(days=9)
"""How long the merchant can send evidence against a dispute."""
UNTIL_AVAILABLE = timedelta(days=2)
"""How long until a charge's money can be paid out."""
SHORTEST_SESSION, LONGEST_SESSION = timedelta(minutes=30), timedelta(hours=24)
CLOCK_DIFFERENCE = timedelta(minutes=1)
"""Tolerance for sessions of exactly 30 minutes: clients' clocks differ, and requests take time."""
KEYS_KEPT = timedelta(hours=24)
"""How long an idempotency key is kept."""
REQUEST_CLAIM = timedelta(seconds=60)
"""How long a request has its idempotency key to itself, should its process die before it responds."""
RETRY_AFTER_SECONDS = 2
"""How long a client should wait after 429."""
BATCH_SIZE = 100
"""How many overdue sessions and pending refunds the worker takes at once."""


def seconds(moment: datetime) -> int:
    """Return a time as Stripe writes it: whole seconds since 1970, UTC."""
    return int(moment.timestamp())

"""Bound how long a caller waits for Stripe: one deadline for all calls, tries and pauses of a request."""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

REQUEST_SECONDS = 12.0
"""When a request is done with Stripe, in seconds from its arrival, and what a single call of a command may take.
Backends and proxies often give up after 15 to 30 seconds."""

# Not an argument: it has to reach the HTTP client of `transport`, which stripe-python calls.
_end: ContextVar[float | None] = ContextVar("stripe_deadline", default=None)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let everything inside end within `seconds`, or at the end of an outer deadline that comes earlier."""
    outer = _end.get()
    end = time.monotonic() + seconds
    token = _end.set(end if outer is None else min(outer, end))
    try:
        yield
    finally:
        _end.reset(token)


def seconds_left() -> float:
    """Return the seconds that are left, which may be none or fewer; without a deadline, REQUEST_SECONDS."""
    end = _end.get()
    return REQUEST_SECONDS if end is None else end - time.monotonic()

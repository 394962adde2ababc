"""Count what clients do, in Redis for all processes together, else in the memory of each.

Names of limits are those of `bounds`.
"""

import hashlib
import logging
import threading
import time
from functools import cache, lru_cache
from math import ceil

from django.conf import settings
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from access.bounds import BOUNDS
from access.window import Window

logger = logging.getLogger(__name__)

REDIS_SECONDS = 0.25
"""Redis gets this time to connect, and again to answer."""
PAUSE_SECONDS = 5.0
"""Redis is left alone for this time after a failure. Meanwhile each process counts for itself."""

BOOKED_SHARE = 1000
"""A process books a thousandth of a large limit at once."""
RETRY_SECONDS = 30
"""A client that has too much at the same time is asked to try again after this time."""

_away_until = 0.0
_lock = threading.Lock()
_booked: dict[tuple[str, ...], tuple[int, float]] = {}
"""What is left of a booking, and until when (seconds of the monotonic clock), by the limit's name and the client."""


class LimitReached(Exception):
    """A client does more than it may. It may try again after `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many requests. Try again in {seconds} seconds.")
        self.seconds = seconds


def at_once(name: str) -> int:
    """Return how many of something a client may have at once."""
    return int(settings.LIMITS[name])


def hit(name: str, *clients: str) -> int:
    """Count one for a client; return 0 within the limit, else the seconds to wait, and count nothing then.

    Never raises, and takes a second at most: without Redis this process counts alone.
    """
    counter, limit = _shared(), _item(name, settings.LIMITS[name])
    if counter is not None:
        try:
            if counter.hit(limit, name, *clients):
                return 0
            reset = counter.get_window_stats(limit, name, *clients).reset_time
            # At least 1, because 0 means "within the limit". The time of the reset may come from another clock.
            return min(limit.get_expiry(), max(1, ceil(reset - time.time())))
        except StorageError as error:
            _leave_alone(error)
    return hit_here(name, *clients)


def hit_ahead(name: str, *clients: str) -> int:
    """Count as `hit` does, for what comes often: of a large amount book a part ahead, and ask Redis for that alone.

    What a process has booked and not used is counted for the other processes, for `seconds` of the limit at most. Near
    the limit, and where the amount is small, each hit is counted by itself.
    """
    key, part = (name, *clients), settings.LIMITS[name] // BOOKED_SHARE
    with _lock:
        if left := _left(key):
            _booked[key] = left - 1, _booked[key][1]
            return 0
    if part > 1 and (counter := _shared()) is not None:
        try:
            if counter.hit(_item(name, settings.LIMITS[name]), *key, cost=part):
                with _lock:  # another thread may have booked meanwhile
                    _booked[key] = _left(key) + part - 1, time.monotonic() + BOUNDS[name].seconds
                return 0
        except StorageError as error:
            _leave_alone(error)
    return hit(name, *clients)


def _left(key: tuple[str, ...]) -> int:
    """Return what is left of what was booked."""
    left, until = _booked.get(key, (0, 0.0))
    return left if time.monotonic() < until else 0


def hit_here(name: str, *clients: str) -> int:
    """Count as `hit` does, for this process alone. It waits for nothing, so the event loop may call it."""
    return _window(name).hit(clients, amount=settings.LIMITS[name])


def clear(name: str, *clients: str) -> None:
    """Forget what was counted for a client."""
    _window(name).clear(clients)
    if (counter := _shared()) is not None:
        try:
            counter.clear(_item(name, settings.LIMITS[name]), name, *clients)
        except StorageError as error:
            _leave_alone(error)


def _shared() -> SlidingWindowCounterRateLimiter | None:
    """Return Redis' counter, if there is one that answers."""
    if not settings.REDIS_URL or time.monotonic() < _away_until:
        return None
    with _lock:  # two threads would make two of them
        return _redis(settings.REDIS_URL)


@cache
def _window(name: str) -> Window:
    return Window(seconds=BOUNDS[name].seconds)


@lru_cache(maxsize=64)
def _item(name: str, amount: int) -> RateLimitItem:
    return RateLimitItemPerSecond(amount, BOUNDS[name].seconds)


@cache
def _redis(url: str) -> SlidingWindowCounterRateLimiter:
    storage = RedisStorage(
        # `limits` chooses the kind of storage by the scheme, and knows a socket's by this name.
        url.replace("unix://", "redis+unix://", 1),
        # Several deployments may share a Redis: each counts its own clients.
        key_prefix=f"payments-limits-{hashlib.sha256(settings.SECRET_KEY.encode()).hexdigest()[:16]}",
        wrap_exceptions=True,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        # redis-py would try again by itself, and each try may take as long.
        retry=None,  # type: ignore[arg-type]  # it is passed on to redis-py
    )
    return SlidingWindowCounterRateLimiter(storage)


def _leave_alone(error: StorageError) -> None:
    global _away_until  # noqa: PLW0603
    _away_until = time.monotonic() + PAUSE_SECONDS
    name = type(error.storage_error).__name__  # Redis' own texts quote what it was sent
    logger.warning("Redis does not count (%s): for a while each process limits clients alone.", name)

"""Count what clients do, in Redis for all processes together, else in the memory of each."""

import logging
import threading
import time
from functools import cache
from math import ceil

from django.conf import settings
from limits import RateLimitItem
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

logger = logging.getLogger(__name__)

REDIS_SECONDS = 0.25
"""How long Redis may take to connect, and to answer."""
PAUSE_SECONDS = 5.0
"""How long Redis is left alone after it failed. Each process counts for itself meanwhile."""

_away_until = 0.0
_lock = threading.Lock()


def hit(limit: RateLimitItem, *names: str) -> int:
    """Count one for `names`; return 0 within the limit, else the seconds after which to try again. Then nothing counts.

    Never raises, and takes a second at most: without Redis this process counts alone.
    """
    for counter in _counters():
        try:
            if counter.hit(limit, *names):
                return 0
            reset = counter.get_window_stats(limit, *names).reset_time
        except StorageError as error:
            _leave_alone(error)
            continue
        return min(limit.get_expiry(), max(1, ceil(reset - time.time())))
    return 0


def clear(limit: RateLimitItem, *names: str) -> None:
    """Forget what was counted for `names`."""
    for counter in _counters():
        try:
            counter.clear(limit, *names)
        except StorageError as error:
            _leave_alone(error)


def _counters() -> list[SlidingWindowCounterRateLimiter]:
    """Return Redis' counter, if there is one that answers, and that in memory."""
    with _lock:  # two threads would make two of each
        is_there = settings.REDIS_URL and time.monotonic() >= _away_until
        return [*([_redis(settings.REDIS_URL)] if is_there else []), _memory()]


@cache
def _memory() -> SlidingWindowCounterRateLimiter:
    return SlidingWindowCounterRateLimiter(MemoryStorage(wrap_exceptions=True))


@cache
def _redis(url: str) -> SlidingWindowCounterRateLimiter:
    storage = RedisStorage(
        url.replace("unix://", "redis+unix://", 1),
        key_prefix="payments-limits",
        wrap_exceptions=True,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        retry=None,  # type: ignore[arg-type]  # it is passed on to redis-py
    )
    return SlidingWindowCounterRateLimiter(storage)


def _leave_alone(error: StorageError) -> None:
    global _away_until  # noqa: PLW0603
    _away_until = time.monotonic() + PAUSE_SECONDS
    name = type(error.storage_error).__name__  # Redis' own texts quote what it was sent
    logger.warning("Redis does not count (%s): for a while each process limits clients alone.", name)

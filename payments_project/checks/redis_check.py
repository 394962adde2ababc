"""Check once, at the start, whether Redis can be used.

The service works without it, a second late, and uses it as soon as it is there. So the start is not refused.
"""

import redis
from django.conf import settings

WAIT_SECONDS = 2
"""A server may take this long for each answer: no client is served meanwhile."""
ADVICE = "Until it can be used each notification comes about a second late. Check REDIS_URL."

_REASONS: dict[type[Exception], str] = {
    redis.AuthenticationError: "it refuses the password",
    redis.TimeoutError: "it does not answer",
    redis.ResponseError: "it refuses a command; it has to be Redis 6 or newer, or Valkey",
    redis.InvalidResponse: "what answers there is no Redis",
}
"""The reason of the first class that fits is shown."""


def problem() -> str:
    """Return why Redis cannot be used, in a sentence or two; empty if it can, or none is configured.

    Redis's own texts are left out: some of its errors quote the password.
    """
    if not settings.REDIS_URL:
        return ""
    try:
        options = settings.REDIS_CONNECTION | {"socket_timeout": WAIT_SECONDS}
        # RESP3 as the layer speaks it, and a single try, so that the start does not wait longer than WAIT_SECONDS.
        with redis.Redis.from_url(settings.REDIS_URL, protocol=3, retry=None, **options) as client:
            client.ping()
    except (redis.RedisError, OSError) as error:
        return f"Redis cannot be used: {_reason(error)}. {ADVICE}"
    return ""


def _reason(error: Exception) -> str:
    """Return the reason. An error of the system, which redis-py wraps in its own, has the system's text."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror[0].lower() + cause.strerror[1:]
    if isinstance(error, redis.ResponseError) and "DB index" in str(error):
        return "it has no database with the number in REDIS_URL"
    return next((words for kind, words in _REASONS.items() if isinstance(error, kind)), type(error).__name__)

"""Check once, at the start, whether Redis can be used.

The service works without it, a second late, and uses it as soon as it is there. So the start is not refused.
"""

import redis
from django.conf import settings

ADVICE = "Until it can be used each notification comes about a second late. Check REDIS_URL."


def problem() -> str:
    """Return why Redis cannot be used, in a sentence or two; empty if it can, or none is configured.

    Redis's own texts are left out: some of its errors quote the password.
    """
    if not settings.REDIS_URL:
        return ""
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, protocol=3, retry=None, **settings.REDIS_CONNECTION
        ) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        return f"Redis cannot be used: {_reason(error)}. {ADVICE}"
    return ""


def _reason(error: Exception) -> str:
    """Return the reason. An error of the system, which redis-py wraps in its own, has the system's text."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror[0].lower() + cause.strerror[1:]
    match error:
        case redis.AuthenticationError():
            return "it refuses the password"
        case redis.TimeoutError():
            return "it does not answer"
        case redis.ResponseError():
            return "it refuses a command; it has to be Redis 6 or newer, or Valkey"
        case ValueError():
            return "REDIS_URL is no address of a server"
    return type(error).__name__

"""Whether Redis can be used, asked once at the start.

The service works without it, only later, and finds it as soon as it is there. So the start is not refused.
"""

import redis
from django.conf import settings

ADVICE = "Until it can be used each notification comes about a second late. Check REDIS_URL."


def complaint() -> str:
    """Return why Redis cannot be used, in a sentence or two; empty where it can, or none is configured.

    No text of Redis's own is in it: some of its errors quote the password.
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
    """Say what is wrong. Of the system's errors, which redis-py hides in its own, the text is the system's."""
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

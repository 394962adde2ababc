"""Configure logging, so that an outage does not fill the log."""

import logging
import time
from operator import attrgetter
from typing import Any

SECONDS = 60


class OnceAMinute(logging.Filter):
    """Passes each message once a minute, whatever its arguments, but once for each `reason` in the record's `extra`.

    A record with a traceback always passes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._due: dict[tuple[str, str | None], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        now = time.monotonic()
        if record.exc_info:
            return True
        key = (record.msg, getattr(record, "reason", None))
        if now < self._due.get(key, now):
            return False
        self._due[key] = now + SECONDS
        return True


class LibrariesOnceAMinute(OnceAMinute):
    """Passes each warning of a library once a minute: a library warns at each call that meets an outage."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        is_ours = record.name.partition(".")[0] in _OURS
        return is_ours or record.levelno < logging.WARNING or super().filter(record)


_OURS = {
    "access",
    "notifications",
    "payments",
    "payments_project",
    "stripe_sandbox",
    "database",
    "deploy",
    "root",
}
_ONCE_A_MINUTE = (
    # While the database is away, these log a line for each client and request.
    "notifications.consumers",
    "notifications.delivery.confirmations",
    "notifications.delivery.permission",
    "notifications.delivery.reads",
    "database.errors",
    "payments_project.postgresql",
    # These log a line for each message or request that is refused.
    "notifications.fanout.seal",
    "notifications.auth.token_keys",
    "payments.webhooks.endpoint",
    "payments.webhooks.signatures",
    "payments_project.middleware.hosts",
    "payments_project.serving.uvicorn_http",
)


def logging_of(level: str) -> dict[str, Any]:
    """Return Django's LOGGING for this level, on standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "once_a_minute": {"()": OnceAMinute},
            "libraries": {"()": LibrariesOnceAMinute},
            # Passes exceptions that no code handled: the service logs its own refusals itself.
            "unforeseen": {"()": "django.utils.log.CallbackFilter", "callback": attrgetter("exc_info")},
        },
        "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["libraries"]}
        },
        "root": {"handlers": ["stderr"], "level": level},
        # Request paths may hold Checkout session ids of the sandbox, and a 4xx concerns the client alone.
        "loggers": {
            "django": {"handlers": []},  # its own handler would write each line a second time
            "django.request": {"level": "ERROR", "filters": ["unforeseen"]},
            "daphne": {"level": "ERROR"},  # its warnings quote paths
            "uvicorn": {"level": "ERROR"},  # so does its line for each WebSocket
            "push_response": {"level": "WARNING"},  # redis-py's: it logs messages, with their links
            "stripe": {"level": "WARNING"},
            "urllib3": {"level": "WARNING"},
            "django.db.backends": {"level": "INFO"},  # at DEBUG it logs statements with their values
        }
        | {name: {"filters": ["once_a_minute"]} for name in _ONCE_A_MINUTE},
    }

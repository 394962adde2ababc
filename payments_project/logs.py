"""What is logged, and what keeps an outage from filling the log."""

import logging
import time
from typing import Any

SECONDS = 60


class OnceAMinute(logging.Filter):
    """Lets a line through once a minute, whatever it is said of, and always if it comes with a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._due: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if record.exc_info:
            return True
        if now < self._due.get(record.msg, now):
            return False
        self._due[record.msg] = now + SECONDS
        return True


def is_unforeseen(record: logging.LogRecord) -> bool:
    """Tell whether an exception was nobody's to handle: what the service refuses by itself it logs by itself."""
    return record.exc_info is not None


_ONCE_A_MINUTE = (
    # Each of these has a line for everybody who meets a database that is away.
    "notifications.consumers",
    "notifications.delivery.confirmations",
    "notifications.delivery.cursor",
    "notifications.delivery.subscription",
    "payments.api.errors",
    "payments_project.postgresql",
    "psycopg.pool",
    # And these for everybody who sends what is not Stripe's, not ours, or more than is taken.
    "notifications.fanout.seal",
    "payments.webhooks.endpoint",
    "payments.webhooks.signatures",
    "payments_project.middleware.hosts",
    "payments_project.serving.uvicorn_http",
)


def logging_of(level: str) -> dict[str, Any]:
    """Return Django's LOGGING for a least level of what is logged, on standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "once_a_minute": {"()": OnceAMinute},
            "unforeseen": {"()": "django.utils.log.CallbackFilter", "callback": is_unforeseen},
        },
        "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        # Request paths hold Checkout session ids of the sandbox, and a 4xx is the client's to know.
        "loggers": {
            "django": {"handlers": []},  # its own would write each line a second time
            "django.request": {"level": "ERROR", "filters": ["unforeseen"]},
            "daphne": {"level": "ERROR"},  # its warnings quote paths
            "uvicorn": {"level": "ERROR"},  # so does what it says of each WebSocket
            "push_response": {"level": "WARNING"},  # redis-py's: it would log messages, with their links
            "stripe": {"level": "WARNING"},
            "urllib3": {"level": "WARNING"},
            "django.db.backends": {"level": "INFO"},  # it would log statements with what they store
        }
        | {name: {"filters": ["once_a_minute"]} for name in _ONCE_A_MINUTE},
    }

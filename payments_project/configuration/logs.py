"""Configure logging, so that an outage does not fill the log."""

import logging
import re
import threading
import time
from typing import Any

from django.db import OperationalError

from access.escaping import escape

SECONDS = 60
MESSAGES_MAX = 1000
"""This many messages are remembered. A library may write texts of strangers into its messages, each a new one."""


class OnceAMinute(logging.Filter):
    """Passes each message once a minute, whatever its arguments, but once for each `reason` in the record's `extra`.

    So is each traceback: by its exception, and the line that raised it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._due: dict[tuple[Any, ...], float] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        now = time.monotonic()
        key = (record.msg, getattr(record, "reason", None), *_origin(record))
        with self._lock:  # handlers lock what they write, and not their filters
            if now < self._due.get(key, now):
                return False
            if len(self._due) >= MESSAGES_MAX:
                self._due = {known: due for known, due in self._due.items() if due > now}
            if (
                len(self._due) >= MESSAGES_MAX
            ):  # all are of the last minute: a stranger may be filling the log
                return False
            self._due[key] = now + SECONDS
            return True


def _origin(record: logging.LogRecord) -> tuple[Any, ...]:
    """Return the kind of a record's exception and the place that raised it; nothing if it has none."""
    if not record.exc_info or record.exc_info[0] is None:
        return ()
    kind, _, traceback = record.exc_info
    # The innermost frame: one fault may be reached by many ways.
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    return (kind, traceback and (traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))


class Bounded(OnceAMinute):
    """Passes each traceback once a minute, and each warning of a library: these come with each call or request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        is_ours = record.name.partition(".")[0] in _OURS
        is_free = record.levelno < logging.WARNING or is_ours
        return (is_free and not record.exc_info) or super().filter(record)


class Stderr(logging.StreamHandler[Any]):
    """Writes to standard error as it was at the start. Once that is closed nobody can read what comes: it is dropped."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        # logging would write a traceback for each record. A program that captures the log closes it before its own end.
        if not getattr(self.stream, "closed", False):
            super().emit(record)


_SESSION = re.compile(r"\bcs_(test|live)_\w+")
"""The id of a Checkout session, which opens its page in the sandbox. Django writes the path of a request that failed."""


def _harmless(text: str) -> str:
    return escape(_SESSION.sub(r"cs_\1_…", text))


class Line(logging.Formatter):
    """Writes a record as one line, and a traceback as lines that are indented: no text can forge a record.

    No id of a Checkout session gets in.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 logging's name
        """Return the line, with control characters escaped."""
        return _harmless(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 logging's name
        """Return the lines of a traceback."""
        return "\n".join(f"  {_harmless(line)}" for line in super().formatException(ei).split("\n"))


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
    "access.refusals.hints",
    "payments_project.middleware.origins",
    "payments_project.serving.uvicorn_http",
)


def _is_unforeseen(record: logging.LogRecord) -> bool:
    """Return whether a record has an exception that no code handled: the service logs its own refusals itself."""
    error = record.exc_info[1] if record.exc_info else None
    return error is not None and not isinstance(error, OperationalError)


def logging_of(level: str) -> dict[str, Any]:
    """Return Django's LOGGING for this level, on standard error."""
    return {
        "version": 1,
        # Loggers of modules that were imported before this would fall silent.
        "disable_existing_loggers": False,
        "filters": {
            "once_a_minute": {"()": OnceAMinute},
            "bounded": {"()": Bounded},
            "unforeseen": {"()": "django.utils.log.CallbackFilter", "callback": _is_unforeseen},
        },
        "formatters": {
            "line": {"()": Line, "format": "{asctime} {levelname} {name}: {message}", "style": "{"}
        },
        "handlers": {
            "stderr": {"()": Stderr, "formatter": "line", "filters": ["bounded"]},
            "refusals": {"class": "access.refusals.RefusalHandler"},
        },
        "root": {"handlers": ["stderr"], "level": level},
        # Request paths may hold Checkout session ids of the sandbox, and a 4xx concerns the client alone.
        "loggers": {
            "django": {"handlers": []},  # its own handler would write each line a second time
            "django.request": {"level": "ERROR", "filters": ["unforeseen"]},
            # It logs a line, or a traceback, for each request that it refuses.
            "django.security": {"handlers": ["refusals"], "propagate": False},
            "daphne": {"level": "ERROR"},  # its warnings quote paths
            "uvicorn": {"level": "ERROR"},  # so does its line for each WebSocket
            "push_response": {"level": "WARNING"},  # redis-py's: it logs messages, with their links
            "stripe": {"level": "WARNING"},
            "urllib3": {"level": "WARNING"},
            "django.db.backends": {"level": "INFO"},  # at DEBUG it logs statements with their values
        }
        | {name: {"filters": ["once_a_minute"]} for name in _ONCE_A_MINUTE},
    }

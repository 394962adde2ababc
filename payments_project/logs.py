"""What keeps an outage from filling the log."""

import logging
import time

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

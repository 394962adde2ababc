"""Count refused clients, and log them: each minute one line for an address, with the number of its refusals."""

import atexit
import logging
import threading
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.http import HttpRequest
from prometheus_client import Counter as Metric

from access.addresses import client_address, unnamed_proxy

logger = logging.getLogger(__name__)
_hints = logging.getLogger(f"{__name__}.hints")

SECONDS = 60.0
"""Refusals are counted for this time, then logged."""
ADDRESSES_MAX = 10_000
"""Addresses that are remembered meanwhile."""
LINES_MAX = 20
"""Addresses that get a line of their own: those with the most refusals. One line more counts the others."""


class Kind(StrEnum):
    """The kinds of what is refused."""

    API_KEY = "api_key"
    SCOPE = "scope"
    LOGIN = "login"
    TOKEN = "token"  # noqa: S105 a kind
    SIGNATURE = "signature"
    HOST = "host"
    ORIGIN = "origin"
    REQUEST = "request"
    LIMIT = "limit"


_WORDS = {
    Kind.API_KEY: "API key",
    Kind.SCOPE: "call without the scope",
    Kind.LOGIN: "login",
    Kind.TOKEN: "registration",
    Kind.SIGNATURE: "webhook signature",
    Kind.HOST: "foreign host",
    Kind.ORIGIN: "foreign origin",
    Kind.REQUEST: "suspicious request",
    Kind.LIMIT: "attempt beyond a limit",
}
_PLURALS = {Kind.SCOPE: "calls without the scope", Kind.LIMIT: "attempts beyond a limit"}

REFUSALS = Metric(
    "payments_security_refusals_total", "Clients that were refused, by what was refused.", ["kind"]
)
for _kind in Kind:
    REFUSALS.labels(_kind.value)  # so that each is exported from the start

_lock = threading.Lock()
_writing = threading.Lock()
_seen: dict[str, Counter[Kind]] = {}
_timer: threading.Timer | None = None
_unseen = 0


def refused(kind: Kind, connection: HttpRequest | Mapping[str, Any]) -> None:
    """Count a refusal of a client, by its request or its ASGI scope. Takes some microseconds, and never raises."""
    global _timer, _unseen  # noqa: PLW0603
    REFUSALS.labels(kind.value).inc()
    address = client_address(connection)
    if kind is Kind.LIMIT and (proxy := unnamed_proxy(connection)):
        _hints.warning(
            "%s reached a limit, and says that it brings other clients: if it is your proxy, add it to TRUSTED_PROXIES. "
            "Until then all its clients share the limits of one.",
            proxy,
        )
    with _lock:
        # A stranger with many addresses must not fill the memory.
        if address in _seen or len(_seen) < ADDRESSES_MAX:
            _seen.setdefault(address, Counter())[kind] += 1
        else:
            _unseen += 1
        if _timer is None:
            _timer = threading.Timer(SECONDS, write)
            # The process must not wait for it at its end: `write` is called there anyway.
            _timer.daemon = True
            _timer.start()


def write() -> None:
    """Log what was counted, and begin anew. The end of the process waits for what the timer is just writing."""
    with _writing:
        _write()


def _write() -> None:
    global _seen, _timer, _unseen
    with _lock:
        seen, unseen, timer = _seen, _unseen, _timer
        _seen, _unseen, _timer = {}, 0, None
    if timer:
        timer.cancel()
    # Outside the lock: to write to the log may take long, and refusals go on meanwhile.
    most = sorted(seen.items(), key=lambda item: -item[1].total())
    for address, counts in most[:LINES_MAX]:
        what = " and ".join(_counted(kind, number) for kind, number in counts.most_common())
        logger.warning("Refused %s from %s in the last minute.", what, address)
    others = most[LINES_MAX:]
    if others or unseen:
        number = sum(counts.total() for _, counts in others) + unseen
        more = f"{len(others)}{' or more' if unseen else ''}"
        logger.warning("Refused %d more from %s other addresses in the last minute.", number, more)


def _counted(kind: Kind, number: int) -> str:
    return f"{number} {_WORDS[kind] if number == 1 else _PLURALS.get(kind, _WORDS[kind] + 's')}"


class RefusalHandler(logging.Handler):
    """Counts what Django's security loggers report, in place of a line or a traceback for each request."""

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record, by its request where it has one."""
        refused(Kind.REQUEST, getattr(record, "request", None) or {})


atexit.register(write)

"""Calls of the API that fail on request: refused, broken, slow, cut, or answered and lost."""

import contextlib
import ipaddress
import logging
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from django.db.models import F
from django.http import HttpRequest

from stripe_sandbox.errors import ApiError
from stripe_sandbox.models import Behaviour

logger = logging.getLogger(__name__)

Fault = Behaviour.Fault
MOST_CALLS, LONGEST_DELAY = 100, 120
_ROW = 1
_OPEN_FILES = "/dev/fd"
"""Where Linux and macOS list the open files of a process."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """How a call fails; `delay` in seconds."""

    fault: Fault = Fault.NONE
    calls: int = 0
    delay: int = 15


def get() -> Planned:
    """Return how the next calls fail, and how many do."""
    row = Behaviour.objects.filter(pk=_ROW, faulty_calls__gt=0).first()
    return Planned(fault=Fault(row.fault), calls=row.faulty_calls, delay=row.delay) if row else Planned()


def plan(*, fault: str, calls: int = 1, delay: int = 15) -> Planned:
    """Let the next calls fail; `Fault.NONE` lets none. `delay`: seconds that a slow one takes longer.

    Raise ValueError if there is no such fault, or the numbers are out of bounds.
    """
    chosen = Fault(fault)
    if not 1 <= calls <= MOST_CALLS or not 1 <= delay <= LONGEST_DELAY:
        raise ValueError(fault)
    calls = 0 if chosen == Fault.NONE else calls
    Behaviour.objects.update_or_create(
        pk=_ROW, defaults={"fault": chosen, "faulty_calls": calls, "delay": delay}
    )
    return Planned(fault=chosen, calls=calls, delay=delay)


def take() -> Planned:
    """Return how this call fails: one of those planned, which then are one fewer."""
    planned = get()
    waiting = Behaviour.objects.filter(pk=_ROW, fault=planned.fault, faulty_calls__gt=0)
    if planned.calls and waiting.update(faulty_calls=F("faulty_calls") - 1):
        return planned
    return Planned()


def too_many() -> ApiError:
    """Return the refusal of a client that asks too often. Source: https://docs.stripe.com/rate-limits."""
    return ApiError(
        "Request rate limit exceeded. Learn more about rate limits here https://docs.stripe.com/rate-limits.",
        status=HTTPStatus.TOO_MANY_REQUESTS,
        code="rate_limit",
    )


def cut(request: HttpRequest) -> None:
    """Shut the connection that a request came by, without an answer; raise ApiError (500) if it is not to be found.

    ASGI has no such message, and each server would write an answer of its own if the view raised. So the socket is
    sought among the open ones of this process, by the address at its other end.
    """
    client = getattr(request, "scope", {}).get("client")
    for connection in _sockets():
        with contextlib.suppress(OSError):
            if client and _address(connection.getpeername()) == _address(client):
                connection.shutdown(socket.SHUT_RDWR)
                logger.info("A connection was cut, as the sandbox's control page asked.")
                return
    raise ApiError(
        "The sandbox was asked to cut this connection, and did not find it: is there a proxy in between?",
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        type_="api_error",
    )


def _sockets() -> Iterator[socket.socket]:
    """Yield the TCP connections of this process, each as a copy that is closed again."""
    for name in os.listdir(_OPEN_FILES):  # noqa: PTH208 names alone are wanted
        # Of a file no copy may be made: closing it would end all locks that SQLite holds on that file
        # (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            copy = os.dup(int(name))
        except OSError:  # closed meanwhile, such as the list's own
            continue
        with socket.socket(fileno=copy) as connection:
            if connection.family in {socket.AF_INET, socket.AF_INET6}:
                yield connection


def _address(pair: tuple[str, int]) -> tuple[str, int]:
    """Return host and port of either family alike: `::ffff:127.0.0.1` is `127.0.0.1`."""
    host = ipaddress.ip_address(pair[0].partition("%")[0])
    mapped = host.ipv4_mapped if isinstance(host, ipaddress.IPv6Address) else None
    return str(mapped or host), pair[1]

"""Make calls of the API fail: refused, broken, slow, cut off, or carried out with the response lost."""

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
"""The folder in which Linux and macOS list a process's open files."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """How the next `calls` calls fail; `delay` in seconds."""

    fault: Fault = Fault.NONE
    calls: int = 0
    delay: int = 15


def get() -> Planned:
    """Return how the next calls fail."""
    row = Behaviour.objects.filter(pk=_ROW, faulty_calls__gt=0).first()
    return Planned(fault=Fault(row.fault), calls=row.faulty_calls, delay=row.delay) if row else Planned()


def plan(*, fault: str, calls: int = 1, delay: int = 15) -> Planned:
    """Make the next calls fail; `Fault.NONE` ends that. `delay`: extra seconds of a slow call.

    Raise ValueError for an unknown fault, or for numbers out of bounds.
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
    """Return how this call fails, and count it."""
    planned = get()
    # Count in the database: several processes share the calls, and the plan may have changed since it was read.
    waiting = Behaviour.objects.filter(pk=_ROW, fault=planned.fault, faulty_calls__gt=0)
    if planned.calls and waiting.update(faulty_calls=F("faulty_calls") - 1):
        return planned
    return Planned()


def too_many() -> ApiError:
    """Return the error of a client that calls too often. Source: https://docs.stripe.com/rate-limits."""
    return ApiError(
        "Request rate limit exceeded. Learn more about rate limits here https://docs.stripe.com/rate-limits.",
        status=HTTPStatus.TOO_MANY_REQUESTS,
        code="rate_limit",
    )


def cut(request: HttpRequest) -> None:
    """Close the request's connection without a response; raise ApiError (500) if it cannot be found.

    ASGI has no message for this, and if the view raised, the server would send a response of its own. So find the
    socket among the open ones of this process, by its peer's address.
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
    """Yield a copy of each TCP socket of this process, and close the copy."""
    for name in os.listdir(_OPEN_FILES):  # noqa: PTH208 names alone are wanted
        # Never copy a file: closing the copy would release all locks that SQLite holds on that file
        # (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            copy = os.dup(int(name))
        except OSError:  # closed meanwhile, such as the folder's own
            continue
        # Of the copy: the server goes on using its own.
        with socket.socket(fileno=copy) as connection:
            if connection.family in {socket.AF_INET, socket.AF_INET6}:
                yield connection


def _address(pair: tuple[str, int]) -> tuple[str, int]:
    """Return host and port in one form for both families: `::ffff:127.0.0.1` is `127.0.0.1`."""
    host = ipaddress.ip_address(pair[0].partition("%")[0])
    mapped = host.ipv4_mapped if isinstance(host, ipaddress.IPv6Address) else None
    return str(mapped or host), pair[1]

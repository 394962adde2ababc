"""Prepare this process for many connections, and notify its process manager that it serves."""

import functools
import gc
import os
import socket
import sys
from contextlib import suppress

if sys.platform != "win32":
    import resource

RESERVED = 256
"""Files for databases, Redis, Stripe and logs; half of all if they are few."""
UNLIMITED = 65_536


def raise_limit() -> None:
    """Raise the limit of open files to the hard limit: many systems grant 1,024 by default, and Windows has none."""
    if sys.platform != "win32":
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = UNLIMITED if hard == resource.RLIM_INFINITY else hard
        with suppress(ValueError, OSError):  # macOS reports no limit, and has one
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@functools.cache
def connections_max() -> int:
    """Return how many connections may be open at once."""
    limit = UNLIMITED
    if sys.platform != "win32":
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = UNLIMITED if soft == resource.RLIM_INFINITY else soft
    return limit - min(RESERVED, limit // 2)


def collect_less() -> None:
    """Exempt all objects of the start from garbage collection, and collect less often.

    By default a storm of connections triggers full collections, each of which stops the process for a tenth of a second
    and more. Objects without cycles, nearly all, are freed without the collector.
    """
    # First, so that no garbage of the start is kept for good.
    gc.collect()
    gc.freeze()
    # Measured: stops of 110 to 210 ms are gone, and a registration takes a fifth less CPU (docs/decisions/0018).
    gc.set_threshold(10_000, 20, 5)


def notify_ready() -> None:
    """Send one datagram to the socket that NOTIFY_SOCKET names, as sd_notify(3) does. It may be lost.

    systemd sets the variable for units with Type=notify, and the cluster for its rolling restart.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or sys.platform == "win32":
        return
    if address.startswith("@"):  # an abstract name of Linux
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(f"READY=1\nMAINPID={os.getpid()}".encode(), address)

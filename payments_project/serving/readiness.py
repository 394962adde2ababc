"""Notify the process manager that this process serves, as systemd's sd_notify(3) does.

NOTIFY_SOCKET names the socket. systemd sets it for units with Type=notify, and the cluster for its rolling restart.
"""

import os
import socket
import sys
from contextlib import suppress


def notify_ready() -> None:
    """Send one datagram: connections are accepted from now on. It may be lost."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or sys.platform == "win32":
        return
    if address.startswith("@"):  # an abstract name of Linux
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(f"READY=1\nMAINPID={os.getpid()}".encode(), address)

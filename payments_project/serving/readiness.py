"""Tell the process manager that this process serves, as systemd's sd_notify(3) does it.

Who sets NOTIFY_SOCKET gets one datagram: systemd for a unit with Type=notify, and the rolling restart of the cluster.
"""

import os
import socket
import sys
from contextlib import suppress


def tell_ready() -> None:
    """Say that connections are accepted from now on. Nobody has to listen."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or sys.platform == "win32":
        return
    if address.startswith("@"):  # Linux's abstract names
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(f"READY=1\nMAINPID={os.getpid()}".encode(), address)

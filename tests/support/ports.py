"""Ports for the servers that tests start."""

import secrets
import socket
from contextlib import suppress


def free_port() -> int:
    """Return a port below those that the system gives to clients: it is still free a moment later."""
    while True:
        # Random, since several test processes look for ports at the same time.
        port = 20_000 + secrets.randbelow(12_000)
        with suppress(OSError), socket.create_server(("localhost", port)):
            return port

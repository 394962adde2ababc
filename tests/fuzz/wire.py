"""Bytes that no client library sends, and what comes back for them."""

import re
import socket
from contextlib import contextmanager, suppress
from itertools import zip_longest

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
CODE = re.compile(rb'"code":\s*"(\w+)"')
SECONDS = 10
"""How long an answer may take."""


@contextmanager
def connection(target):
    with socket.create_connection(("127.0.0.1", target.port), timeout=SECONDS) as sock:
        yield sock


def exchange(target, data):
    """Send bytes, say that there are no more, and return all that comes back until the server closes.

    Raises TimeoutError where it does not.
    """
    with connection(target) as sock:
        with suppress(ConnectionError):  # it may have heard enough
            sock.sendall(data)
            # Else a server that waits for the rest would be waited for.
            sock.shutdown(socket.SHUT_WR)
        return rest(sock)


def rest(sock):
    """Return what comes until the server closes."""
    received = b""
    with suppress(ConnectionError):
        while part := sock.recv(65_536):
            received += part
    return received


def count(tally, received, sent):
    """Count the HTTP answers in what came back; return their statuses."""
    found = list(STATUS.finditer(received))
    for match, end in zip_longest(found, (match.start() for match in found[1:]), fillvalue=len(received)):
        code = CODE.search(received, match.end(), end)
        tally.answered(int(match[1]), code[1].decode() if code else "", sent)
    if not found:
        tally.answers["cut off"] += 1
    return [int(match[1]) for match in found]

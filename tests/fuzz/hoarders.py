"""Clients that want the memory: heads and addresses without end, bodies held back, fragments with nothing in them."""

import time
from contextlib import ExitStack, suppress

from tests.fuzz import wire
from tests.fuzz.websocket_nonsense import GOOD, _request

MIB = 1024 * 1024
HELD_BYTES = 999_990


def run(target, tally, *, seed, inputs):
    """Send as much as is taken on many connections at once, hold it, and go."""
    with ExitStack() as stack:
        for number in range(inputs):
            tally.inputs += 1
            sock = stack.enter_context(wire.connection(target))
            beginning, unit, most = _kinds()[(number + seed) % 5]
            # A server that does not read on lets the connection fill up. That is as good as a refusal.
            sock.settimeout(1)
            with suppress(ConnectionError, TimeoutError):
                sock.sendall(beginning)
                for _ in range(most // len(unit)):
                    sock.sendall(unit)
        tally.notes["memory, all held"] = target.server.memory()


def _kinds():
    """Return how each kind begins, what it goes on with, and how many bytes of that it sends at most."""
    forged = b"Stripe-Signature: t=%d,v1=%s" % (time.time(), b"0" * 64)
    return [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", b"aN: b\r\n" * 1000, 2 * MIB),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ", b"b" * 10_000, 2 * MIB),
        (b"GET /", b"a" * 10_000, 2 * MIB),
        (
            b"POST /webhooks/stripe/ HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Length: 1000000\r\n\r\n"
            % forged,
            b"x" * 90_910,
            HELD_BYTES,
        ),
        (_request(GOOD) + b"\x01\x81\0\0\0\0x", b"\x00\x80\0\0\0\0" * 1000, 2 * MIB),
    ]

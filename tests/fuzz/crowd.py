"""Very many connections from one place: silent ones, half requests, sockets that do not register."""

import socket
import uuid
from contextlib import ExitStack

import psutil

from tests.fuzz import wire
from tests.fuzz.websocket_nonsense import GOOD, _request
from tests.support import frames
from tests.support.client import connected
from tests.support.server import eventually

BEGINNINGS = [
    b"",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ",
    b"POST /api/payments HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{",
    _request(GOOD),
    _request(GOOD),
    _request(GOOD),
]
SPARE = 50
"""Descriptors that a process opens meanwhile for itself, such as connections to its database."""


def run(target, tally, *, seed, inputs):
    """Open connections and hold them. Clients that are in are served meanwhile, and so is a well-behaved new one."""
    user_id, process = f"user-{uuid.uuid4().hex}", psutil.Process(target.server.pid)
    at_start = process.num_fds()
    with connected(target.server) as client, ExitStack() as stack:
        client.register(user_id, token=target.token(user_id))
        for number in range(inputs):
            tally.inputs += 1
            sock = stack.enter_context(
                socket.create_connection(("127.0.0.1", target.port), timeout=wire.SECONDS)
            )
            # The seed shifts the order, so that rounds do not begin alike.
            sock.sendall(BEGINNINGS[(number + seed) % len(BEGINNINGS)])
        tally.notes["memory, all connected"] = target.server.memory()
        assert client.receive_until_pong() == []
        payment = target.ask(user_id)
        assert client.receive() == frames.link(payment)
        target.journey()
    # What is still being closed would be counted as kept.
    eventually(lambda: process.num_fds() < at_start + SPARE, seconds=60)

"""Very many connections from one place: silent ones, half requests, sockets that do not register."""

import socket
import uuid
from contextlib import ExitStack

from tests.fuzz import wire
from tests.fuzz.websocket_nonsense import GOOD, _request
from tests.support import frames
from tests.support.client import connected

BEGINNINGS = [
    b"",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ",
    b"POST /api/payments HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{",
    _request(GOOD),
    _request(GOOD),
    _request(GOOD),
]


def run(target, tally, *, seed, inputs):
    """Open connections and hold them; who is in is served meanwhile, and who comes with good manners too."""
    user_id = f"user-{uuid.uuid4().hex}"
    with connected(target.server) as client, ExitStack() as stack:
        client.register(user_id, token=target.token(user_id))
        for number in range(inputs):
            tally.inputs += 1
            sock = stack.enter_context(
                socket.create_connection(("127.0.0.1", target.port), timeout=wire.SECONDS)
            )
            sock.sendall(BEGINNINGS[(number + seed) % len(BEGINNINGS)])
        tally.notes["memory, all connected"] = target.server.memory()
        assert client.receive_until_pong() == []
        payment = target.ask(user_id)
        assert client.receive() == frames.link(payment)
        target.journey()

"""A server that is told to end: clients are told, requests are answered, and others take over."""

import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from tests.client import connected
from tests.proxy import Proxy
from tests.server import eventually
from tests.webhook import deliver, event

EVENTS = "payments_webhookevent"


@pytest.fixture
def server(serve):
    """A server that a test may end."""
    return serve()


def is_listening(server):
    with closing(socket.socket()) as sock:
        return sock.connect_ex(("127.0.0.1", server.port)) == 0


def test_every_client_is_told_that_the_server_goes_away(server, user_id):
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        clients = [stack.enter_context(connected(server)) for _ in range(250)]
        for n, client in enumerate(clients[:50]):
            client.register(f"{user_id} {n}")

        code = pool.submit(server.stop, signal.SIGTERM)

        assert [client.close_code() for client in clients] == [4412] * 250
        assert code.result() == 0


def test_a_webhook_under_way_is_answered_while_new_connections_go_elsewhere(server):
    with ThreadPoolExecutor(2) as pool:
        with server.database.locked(EVENTS) as is_waited_for:
            answer = pool.submit(deliver, server, event())
            eventually(is_waited_for)
            threading.Event().wait(0.3)  # SQLite does not tell who waits
            code = pool.submit(server.stop, signal.SIGTERM)
            eventually(lambda: not is_listening(server))
            assert not answer.done()

        assert answer.result().status_code == 200
        assert code.result() == 0


def test_a_client_that_vanished_does_not_keep_the_server_from_ending(server, user_id):
    with Proxy(server.port) as network, connected(server, through=network) as client:
        client.register(user_id)
        network.black_hole()
        assert server.stop(signal.SIGTERM, seconds=30) == 0
        network.cut()

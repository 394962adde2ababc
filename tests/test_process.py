"""A server process from its start to its end."""

import resource
import signal

import pytest
from websockets.exceptions import ConnectionClosed

from tests import backend
from tests.client import connected
from tests.frames import registered
from tests.server import UVICORN


def cpu_seconds():
    """Return how long the processes that have ended worked."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_signal_ends_it_in_good_order_and_the_next_start_is_quick_and_finds_all(serve, user_id):
    server = serve()
    payment = backend.ask(server, user_id)
    assert end_while_clients_are_connected(server, signal.SIGINT) in {0, -signal.SIGINT}
    before = cpu_seconds()

    server.start()
    assert backend.read(server, payment) == payment
    assert end_while_clients_are_connected(server, signal.SIGTERM) in {0, -signal.SIGTERM}
    assert cpu_seconds() - before < 4

    server.start(UVICORN)
    assert backend.read(server, payment) == payment
    assert end_while_clients_are_connected(server, signal.SIGINT) in {0, -signal.SIGINT}
    assert "Traceback" not in server.log


def end_while_clients_are_connected(server, number):
    """Return the exit code."""
    with connected(server) as client, connected(server):
        assert client.register("a user") == registered("a user")
        code = server.stop(number)
        with pytest.raises(ConnectionClosed):
            client.receive()
    return code


def test_it_says_where_everything_is(daphne):
    said = daphne.out

    for address in ("/", "/api/docs", "/admin/", "/healthz", "/sandbox/"):
        assert f"{daphne.url}{address} " in said
    assert daphne.url.replace("http", "ws", 1) + "/basic/ws" in said
    assert "admin / admin" in said
    assert "Authorization: Bearer dev-key" in said

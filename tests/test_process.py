"""A server process from its start to its end."""

import resource
import signal

import pytest
from websockets.exceptions import ConnectionClosed

from tests import backend, sandbox
from tests.client import connected
from tests.frames import registered
from tests.server import DAPHNE, UVICORN


def cpu_seconds():
    """Return how long the processes that have ended worked."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def started(serve):
    """A server of each kind, to be stopped and started again."""
    servers = {}

    def get(command):
        if command not in servers:
            servers[command] = serve(command)
        return servers[command]

    return get


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [DAPHNE, UVICORN], ids=["daphne", "uvicorn"])
def test_a_signal_ends_it_in_good_order(started, user_id, command, number):
    server = started(command)
    with connected(server) as client, connected(server):
        client.register(user_id)
        backend.ask(server, user_id)

        code = server.stop(number)

        with pytest.raises(ConnectionClosed):
            client.receive_until(None)
    assert code in {0, -number}
    assert "Traceback" not in server.log
    server.start()


def test_what_was_there_is_there_after_a_restart(started, user_id):
    server = started(DAPHNE)
    payment = backend.ask(server, user_id)
    server.stop()

    server.start()

    assert backend.read(server, payment) == payment
    with connected(server) as client:
        assert client.register(user_id) == registered(user_id)
        sandbox.choose(server, payment, "pay")
        assert client.receive()["status"] == "succeeded"


def test_a_second_start_is_little_work(started):
    server = started(DAPHNE)
    server.stop()
    before = cpu_seconds()

    server.start()
    server.stop()

    assert cpu_seconds() - before < 4
    server.start()


def test_it_says_where_everything_is(daphne):
    said = daphne.out

    for address in ("/", "/api/docs", "/admin/", "/healthz", "/sandbox/"):
        assert f"{daphne.url}{address} " in said
    assert daphne.url.replace("http", "ws", 1) + "/basic/ws" in said
    assert "admin / admin" in said
    assert "Authorization: Bearer dev-key" in said

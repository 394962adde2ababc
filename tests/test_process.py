"""A server process from its start to its end."""

import resource
import signal

import pytest
from websockets.exceptions import ConnectionClosed

from tests import backend, sandbox
from tests.client import connected
from tests.frames import registered, status
from tests.server import DAPHNE, UVICORN


def cpu_seconds():
    """Return how long the processes that have ended worked."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("command", [DAPHNE, UVICORN], ids=["daphne", "uvicorn"])
def test_a_signal_ends_it_in_good_order_and_a_second_start_is_quick_and_finds_all(serve, user_id, command):
    server = serve(command)
    payment = backend.ask(server, user_id)
    with connected(server) as client, connected(server):
        client.register(user_id)

        code = server.stop(signal.SIGINT)

        with pytest.raises(ConnectionClosed):
            client.receive()
    assert code in {0, -signal.SIGINT}
    before = cpu_seconds()

    server.start()

    assert backend.read(server, payment) == payment
    with connected(server) as client:
        assert client.register(user_id) == registered(user_id)
        sandbox.choose(server, payment, "pay")
        assert client.receive() == status(payment, "succeeded")
        code = server.stop(signal.SIGTERM)
    assert code in {0, -signal.SIGTERM}
    assert cpu_seconds() - before < 4
    assert "Traceback" not in server.log


def test_it_says_where_everything_is(daphne):
    said = daphne.out

    for address in ("/", "/api/docs", "/admin/", "/healthz", "/sandbox/"):
        assert f"{daphne.url}{address} " in said
    assert daphne.url.replace("http", "ws", 1) + "/basic/ws" in said
    assert "admin / admin" in said
    assert "Authorization: Bearer dev-key" in said

"""A server that is asked to end: clients are notified, requests are answered, and others take over."""

import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress

import psutil
import pytest

from tests.support.client import connected
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.server import ROOT, environment, eventually
from tests.support.webhook import deliver, event

EVENTS = "payments_webhookevent"


@pytest.fixture
def server(serve):
    """A server that a test may end."""
    return serve()


def is_listening(server):
    with closing(socket.socket()) as sock:
        return sock.connect_ex(("127.0.0.1", server.port)) == 0


def test_every_client_is_notified_that_the_server_goes_away(server, user_id):
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
            threading.Event().wait(0.3)  # SQLite does not say who waits
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


def test_a_terminal_that_is_closed_ends_it_in_good_order(server):
    with connected(server) as client, ThreadPoolExecutor(1) as pool:
        code = pool.submit(server.stop, signal.SIGHUP)
        assert client.close_code() == 4412
        assert code.result() == 0


def test_a_terminal_may_be_closed_where_that_is_ignored(serve):
    """As with nohup(1)."""
    server = serve("-c", "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + SERVE)

    os.kill(server.pid, signal.SIGHUP)

    assert server.http.get("/healthz").is_success


SERVE = """
import sys
sys.argv = ["manage.py", "serve"]
import manage
manage.main()
"""
BEGINNING = b"POST /api/payments HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"


def test_signals_that_come_together_are_one_and_a_later_one_ends_it_at_once(server):
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(BEGINNING)  # and no more: the end waits for the rest
        eventually(lambda: server.http.get("/healthz").is_success)
        os.kill(server.pid, signal.SIGTERM)
        os.kill(server.pid, signal.SIGTERM)
        eventually(lambda: not is_listening(server))
        threading.Event().wait(0.6)  # what comes sooner is the same signal
        os.kill(server.pid, 0)
        assert server.stop(signal.SIGTERM, seconds=2) == 128 + signal.SIGTERM


@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace needs root")
@pytest.mark.parametrize("delay", [0.25, 1.0])
def test_the_first_process_of_a_container_can_be_ended_while_it_starts(tmp_path, delay):
    """The kernel keeps signals from it that it has no handler for."""
    command = ("unshare", "--pid", "--fork", "--mount-proc", sys.executable, "manage.py", "serve")
    settings = environment(PORT=str(free_port()), DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")
    with (tmp_path / "log").open("w") as log:
        outer = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=log, stderr=log)
    (first,) = eventually(lambda: psutil.Process(outer.pid).children())
    try:
        with suppress(psutil.TimeoutExpired):
            first.wait(delay)
        first.send_signal(signal.SIGTERM)
        assert outer.wait(timeout=10) in {0, 128 + signal.SIGTERM}
    finally:
        with suppress(psutil.NoSuchProcess):
            first.kill()
        outer.wait()

"""What is SQLite's alone: one lock for all who write."""

import time
import uuid
from contextlib import ExitStack

import pytest

from tests.support import backend
from tests.support.client import connected
from tests.support.database import Database
from tests.support.frames import link
from tests.support.server import eventually
from tests.support.webhook import deliver, event


@pytest.fixture(scope="module")
def server(serve, tmp_path_factory):
    """A server on SQLite, whatever the stack."""
    folder = tmp_path_factory.mktemp("sqlite")
    return serve(database=Database(f"sqlite:///{folder}/db.sqlite3"), WEBSOCKET_PING_SECONDS="1")


def test_a_write_lock_held_elsewhere_holds_up_no_socket_that_reads(server, user_id):
    """Each plain client that registers makes the service write down what it is sent once more."""
    plain = [uuid.uuid4().hex for _ in range(12)]
    for each in plain:
        backend.ask(server, each)
    payment = backend.ask(server, user_id)
    with ExitStack() as stack:
        herd = [stack.enter_context(connected(server)) for _ in plain]
        late = stack.enter_context(connected(server))
        with server.database.locked("everything"):
            for client, each in zip(herd, plain, strict=True):
                client.register(each)
            began = time.monotonic()
            assert late.register(user_id, lastSeq=0)["type"] == "registration_success"
            assert late.receive() == link(payment) | {"seq": 1}
            assert server.http.get("/readyz").status_code == 200
            assert backend.read(server, payment) == payment
            assert time.monotonic() - began < 4  # long before the lock's waiters give up
            assert deliver(server, event()).status_code == 503
        for client in herd:
            assert client.receive()["type"] == "payment_url"
    eventually(lambda: "SQLITE_BUSY" in server.log)
    eventually(lambda: deliver(server, event()).status_code == 200)

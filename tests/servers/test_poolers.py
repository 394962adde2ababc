"""The service behind a pooler in transaction mode, whether or not it keeps track of prepared statements."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import backend, frames, sandbox
from tests.support.pooler import Pooler
from tests.support.services import STACK

pytestmark = pytest.mark.skipif(STACK != "services", reason="SQLite has no pooler")
NAME, PROBE = "POOLER_", {"prepared_probe"}


@pytest.fixture(params=[False, True], ids=["it loses statements", "it keeps track of them"])
def pooler(request, server):
    with Pooler(server.database, keeps_track=request.param) as pooler:
        yield pooler


def test_riders_pay_behind_a_pooler(serve, pooler, connect, user_id):
    """Each transaction meets another session than the one before it, and so finds nothing that was left there."""
    behind = serve(database=pooler.database)
    client = connect(behind)
    assert client.register(user_id) == frames.registered(user_id)

    for _ in range(3):
        payment = backend.ask(behind, user_id)
        assert client.receive() == frames.link(payment)
        assert sandbox.choose(behind, payment, "pay").status_code == 303
        assert client.receive() == frames.status(payment, "succeeded")
    with ThreadPoolExecutor(4) as pool:
        payments = list(pool.map(lambda _: backend.ask(behind, user_id), range(8)))
    expected = [frames.link(payment) for payment in payments]
    received = [client.receive() for _ in expected]
    assert sorted(map(str, received)) == sorted(map(str, expected))

    assert "ERROR" not in behind.log
    behind.stop()
    if pooler.keeps_track:
        assert {name[: len(NAME)] for name in pooler.prepared()} == {NAME}
        assert len(pooler.prepared()) > 3
    else:
        assert pooler.prepared() <= PROBE

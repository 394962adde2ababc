"""Requests that all wait for one lock leave webhooks, sockets and health checks their connections."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from payments_project.postgresql.reserve import CONNECTIONS, KEPT
from tests.support import backend, webhook
from tests.support.frames import registered
from tests.support.server import eventually
from tests.support.services import STACK

AT_ONCE = 40
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def waiting(server):
    [[number]] = server.database.execute(WAITING)
    return number


@pytest.mark.skipif(STACK == "embedded", reason="SQLite has no pool, and one lock for all that write")
def test_webhooks_sockets_and_health_do_not_wait_for_requests_that_hold_connections(serve, connect, user_id):
    server = serve()
    payment = backend.ask(server, user_id)

    def cancel(_):
        path = f"/api/payments/{payment['id']}/cancel"
        return httpx.post(f"{server.url}{path}", json={}, headers=backend.KEY, timeout=30, trust_env=False)

    with psycopg.connect(server.database.url) as other, ThreadPoolExecutor(AT_ONCE) as pool:
        other.execute("SELECT 1 FROM payments_payment WHERE id = %s FOR UPDATE", [payment["id"]])
        answers = [pool.submit(cancel, number) for number in range(AT_ONCE)]
        eventually(lambda: waiting(server) == CONNECTIONS - KEPT)

        assert webhook.deliver(server, webhook.event()).status_code == 200
        assert server.http.get("/readyz").status_code == 200
        assert connect(server).register(user_id + "x") == registered(user_id + "x")
        assert waiting(server) == CONNECTIONS - KEPT, "they wait until they are given up, after 5 seconds"

        other.rollback()
        assert {answer.result().status_code for answer in answers} <= {200, 503}
    assert backend.read(server, payment)["status"] == "canceled"

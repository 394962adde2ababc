"""The database's illnesses: it restarts, says nothing, has no connection left, or somebody holds a lock."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg_pool import ConnectionPool, PoolTimeout
from psycopg_pool.base import AttemptWithBackoff

from payments_project.configuration.databases import POSTGRESQL
from tests.outages.postgresql import PostgreSQL
from tests.support import backend, sandbox
from tests.support.frames import link, registered, status, story
from tests.support.proxy import Proxy
from tests.support.server import eventually
from tests.support.webhook import deliver, event

UNAVAILABLE = {
    "type": "error",
    "message": "Registration failed for now. Please register again in a moment.",
    "code": "unavailable",
}


@pytest.fixture
def pool():
    with ThreadPoolExecutor(40) as pool:
        yield pool


def target(url):
    """Return where a proxy has to connect to."""
    parts = urlsplit(url)
    folders = parse_qs(parts.query).get("host")
    return f"{folders[0]}/.s.PGSQL.5432" if folders else parts.port


def through(proxy, url):
    """Return the address of the same database, by way of a proxy."""
    parts = urlsplit(url)
    address = f"{parts.username}:{parts.password or ''}@127.0.0.1:{proxy.port}"
    return parts._replace(netloc=address, query="").geturl()


@contextmanager
def held(server, user_id):
    """Hold the row of a user's feed, as one does who stopped in the middle of a transaction."""
    with psycopg.connect(server.database.url) as connection:
        connection.execute("SELECT 1 FROM notifications_feed WHERE user_id = %s FOR UPDATE", [user_id])
        yield


def is_waited_for(server):
    return server.database.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


def paid(server, user_id, undelivered):
    """Return a payment whose success nobody was notified of, and the event that says it."""
    payment = backend.ask(server, user_id)
    sandbox.choose(server, payment, "pay")
    (body,) = [body for body in undelivered(payment) if b'"checkout.session.completed"' in body]
    return payment, body


# It restarts


@pytest.fixture(scope="module")
def restartable(serve):
    """A worker that has a PostgreSQL of its own, `restartable.database`."""
    with PostgreSQL() as database:
        yield serve(database=database)


def test_a_restart_of_the_database_is_survived(restartable, connect, user_id, pool):
    server = restartable
    clients = [connect(server) for _ in range(3)]
    for client in clients:
        client.register(user_id, lastSeq=0)
    payment = backend.ask(server, user_id)
    body, late = event(), connect(server)

    server.database.stop()
    ready = pool.submit(server.http.get, "/readyz")
    asked = pool.submit(backend.post, server, "/api/payments", backend.order(user_id))
    delivered = pool.submit(deliver, server, body)
    assert late.register(user_id) == UNAVAILABLE
    assert ready.result().status_code == 503
    for answer in (asked.result(), delivered.result()):
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "unavailable"
    server.database.start()

    started = time.monotonic()
    eventually(lambda: deliver(server, body).status_code == 200)
    assert time.monotonic() - started < 4
    second = backend.ask(server, user_id)
    for client in clients:
        assert [client.receive(), client.receive()] == [
            link(payment) | {"seq": 1},
            link(second) | {"seq": 2},
        ]
    assert late.register(user_id) == registered(user_id)
    ended = "The feeds can be read again"
    eventually(lambda: server.log.count(ended) == server.log.count("The feeds cannot be read"))
    assert server.log.count(ended) <= 1
    lines = [line for line in server.log.splitlines() if line.startswith("20")]  # each begins with the year
    assert len(lines) < 12, server.log


def test_a_database_that_was_away_for_long_is_looked_for_every_two_seconds(monkeypatch):
    # The pause between two tries doubles with each: so long it is after some minutes.
    monkeypatch.setattr(AttemptWithBackoff, "INITIAL_DELAY", 60)
    url = os.environ["DATABASE_URL"]
    with Proxy(target(url)) as network:
        network.cut(refuse=True)
        with ConnectionPool(through(network, url), **POSTGRESQL["pool"]) as connections:
            with pytest.raises(PoolTimeout):
                connections.getconn(timeout=0.5)
            network.heal()
            connections.putconn(connections.getconn(timeout=4))


def test_connections_that_were_cut_are_replaced_before_they_are_used(workers, user_id, pool):
    first, _ = workers

    def at_once(count):
        return {answer.status_code for answer in pool.map(lambda _: deliver(first, event()), range(count))}

    assert at_once(20) == {200}
    first.database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert at_once(20) == {200}


# It says nothing


@pytest.fixture(scope="module")
def far(serve, workers):
    """A worker with a network between it and its database, `far.line`."""
    url = workers[0].database.url
    with Proxy(target(url)) as line:
        server = serve(
            DATABASE_URL=through(line, url),
            REDIS_URL=workers[0].redis_url,
            beside=workers[0],
        )
        server.line = line
        yield server
        line.cut()


def test_while_the_database_says_nothing_registered_clients_are_served(workers, far, connect, user_id):
    first, _ = workers
    client = connect(far)
    client.register(user_id)
    assert client.receive_until(link(backend.ask(first, user_id))) == []

    far.line.black_hole()
    payment = backend.ask(first, user_id)
    assert client.receive(seconds=3) == link(payment)
    assert client.receive_until_pong() == []
    far.line.heal()

    assert connect(far).register(user_id) == registered(user_id)


# Somebody holds a lock


def test_while_no_event_can_be_written_registered_clients_are_served_and_all_are_answered(
    workers, connect, user_id, pool
):
    first, second = workers
    client, late = connect(first), connect(first)
    client.register(user_id)
    assert client.receive_until(link(backend.ask(second, user_id))) == []

    with first.database.locked("payments_webhookevent"):
        started = time.monotonic()
        answers = [pool.submit(deliver, first, event()) for _ in range(20)]
        eventually(lambda: is_waited_for(first))
        payment = backend.ask(second, user_id)
        assert client.receive(seconds=3) == link(payment)
        assert late.register("somebody else") in (registered("somebody else"), UNAVAILABLE)
        assert {answer.result().status_code for answer in answers} == {503}
        assert time.monotonic() - started < 12

    assert late.register("somebody else") == registered("somebody else")
    assert deliver(first, event()).status_code == 200


def test_who_stops_in_a_transaction_holds_up_one_user_and_not_for_ever(
    workers, connect, user_id, undelivered, pool
):
    first, _ = workers
    payment, body = paid(first, user_id, undelivered)
    other, other_body = paid(first, f"{user_id} 2", undelivered)

    with held(first, user_id):
        blocked = pool.submit(deliver, first, body)
        eventually(lambda: is_waited_for(first))
        assert deliver(first, other_body).status_code == 200
        assert blocked.result().status_code == 503
        assert backend.read(first, other)["status"] == "succeeded"

    client = connect(first)
    client.register(user_id, lastSeq=0)
    assert deliver(first, body).status_code == 200
    expected = [frame | {"seq": seq} for seq, frame in enumerate(story(payment, "succeeded"), 1)]
    assert [client.receive(), client.receive()] == expected


def test_a_worker_that_stands_still_in_a_transaction_is_made_to_let_go(
    workers, serve, connect, user_id, undelivered
):
    first, _ = workers
    payment, body = paid(first, user_id, undelivered)
    impatient = "options=-c%20idle_in_transaction_session_timeout%3D1s"
    url = first.database.url
    url += f"{'&' if '?' in url else '?'}{impatient}"
    stopping = serve(DATABASE_URL=url, beside=first)
    client = connect(first)
    client.register(user_id)
    client.receive_until(link(payment))

    with ThreadPoolExecutor(1) as pool:
        with held(first, user_id):
            stopped = pool.submit(deliver, stopping, body)
            eventually(lambda: is_waited_for(first))
            os.kill(stopping.pid, signal.SIGSTOP)
        try:
            assert deliver(first, body).status_code == 200
            assert client.receive() == status(payment, "succeeded")
        finally:
            os.kill(stopping.pid, signal.SIGCONT)
        assert stopped.result().status_code == 200

    assert deliver(stopping, body).status_code == 200
    assert client.receive_until_pong() == []

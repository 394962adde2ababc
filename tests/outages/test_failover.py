"""A database that answers, and is the wrong one or has no room: callers hear when to come back, and the log says why."""

import re
import time

import pytest

from tests.outages.postgresql import PostgreSQL
from tests.support import backend
from tests.support.backend import KEY
from tests.support.frames import link, registered
from tests.support.server import eventually
from tests.support.webhook import deliver, event

PATIENCE = 5
"""Seconds. So long a request waits for a connection where nothing is known; ten of them take less where it is."""


@pytest.fixture(scope="module")
def database():
    with PostgreSQL() as database:
        yield database


@pytest.fixture(scope="module")
def server(serve, database):
    return serve(database=database)


def only_reads(database, switch):
    """Make of it what an old primary is after a failover, or a primary again."""
    database.execute(f"ALTER SYSTEM SET default_transaction_read_only = {switch}")
    database.execute("SELECT pg_reload_conf()")


def sessions(database):
    found = database.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return {pid for (pid,) in found}


def ask(server, user_id):
    return backend.post(server, "/api/payments", backend.order(user_id))


def seconds_to_be_refused(server):
    """Return how long ten events take, one after the other. They are refused with 503."""
    started = time.monotonic()
    assert {deliver(server, event()).status_code for _ in range(10)} == {503}
    return time.monotonic() - started


def assert_pages_say_to_come_back(server):
    """Ask for pages as a browser with a session does, and as a program: 503, and when to try again."""
    session = {"Cookie": f"sessionid={'a' * 32}"}
    for path in ("/admin/", "/admin/payments/payment/", "/sandbox/"):
        page = server.http.get(path, headers={"Accept": "text/html", **session})
        assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
        assert "Please try again in a moment" in page.text
        text = server.http.get(path, headers=session)
        assert (text.status_code, text.headers["Content-Type"]) == (503, "text/plain; charset=utf-8")


def test_while_it_is_known_to_be_away_nobody_waits_for_it(server, database):
    assert deliver(server, event()).status_code == 200

    database.stop()
    eventually(lambda: seconds_to_be_refused(server) < PATIENCE)
    assert server.http.get("/readyz").status_code == 503
    assert ask(server, "user").status_code == 503
    assert_pages_say_to_come_back(server)
    reason = re.search(r"The database did not answer: OperationalError \((.*)\)\n", server.log)[1]
    assert "SQLSTATE" in reason or "connection" in reason

    database.start()
    eventually(lambda: deliver(server, event()).status_code == 200)
    assert "Traceback" not in server.log


def test_a_database_that_only_reads_is_a_lost_one(server, database, connect, user_id):
    client = connect(server)
    assert client.register(user_id, lastSeq=0)["type"] == "registration_success"
    assert ask(server, user_id).status_code == 201
    old, body = sessions(database), event()

    only_reads(database, "on")
    for answer in (ask(server, user_id), deliver(server, body)):
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "unavailable"
    eventually(lambda: server.http.get("/readyz").status_code == 503)
    eventually(lambda: not old & sessions(database))
    eventually(lambda: seconds_to_be_refused(server) < PATIENCE)
    assert_pages_say_to_come_back(server)

    only_reads(database, "off")
    eventually(lambda: server.http.get("/readyz").status_code == 200)
    eventually(lambda: deliver(server, body).status_code == 200)
    payment = backend.ask(server, user_id)
    assert client.receive_until(link(payment) | {"seq": 2}) != []
    assert connect(server).register("another") == registered("another")
    assert server.log.count("The database only reads (SQLSTATE 25006)") == 1
    assert "Traceback" not in server.log


def test_no_caller_waits_for_a_server_that_only_reads(server, database):
    assert {deliver(server, event()).status_code for _ in range(3)} == {200}
    only_reads(database, "on")
    eventually(lambda: server.http.get("/readyz").status_code == 503)
    try:
        seconds = []
        for _ in range(3):
            started = time.monotonic()
            assert deliver(server, event()).status_code == 503
            seconds.append(time.monotonic() - started)
        assert max(seconds) < 1
    finally:
        only_reads(database, "off")
    eventually(lambda: deliver(server, event()).status_code == 200)


def test_no_caller_waits_where_the_server_comes_back_from_a_restart_and_only_reads(server, database):
    assert deliver(server, event()).status_code == 200
    database.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    database.stop()
    database.start()
    try:
        started = time.monotonic()
        assert deliver(server, event()).status_code == 503
        assert time.monotonic() - started < 2  # and not the 5 that a caller waits for a connection
    finally:
        only_reads(database, "off")
    eventually(lambda: deliver(server, event()).status_code == 200)


def test_a_session_that_began_before_the_server_only_reads_is_not_ready(server, database):
    """It is asked itself, for the server's name may lead to another by now."""
    only_reads(database, "on")
    try:
        eventually(lambda: server.http.get("/readyz").status_code == 503)
    finally:
        only_reads(database, "off")
    eventually(lambda: server.http.get("/readyz").status_code == 200)


def test_a_full_disk_is_named_as_one_once_a_minute(server, database, user_id):
    database.execute(
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
    )
    for table in ("payments_payment", "payments_webhookevent"):
        database.execute(f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} EXECUTE FUNCTION no_room()")
    try:
        for _ in range(3):
            assert ask(server, user_id).status_code == 503
        assert deliver(server, event()).status_code == 503
        assert server.http.get("/readyz").status_code == 200  # a load balancer would find no better process
    finally:
        database.execute("DROP FUNCTION no_room CASCADE")

    assert server.log.count("SQLSTATE 53100): nothing is written") == 1
    counted = re.search(
        r'unwritable_total{reason="disk_full"} (\d+)', server.http.get("/metrics", headers=KEY).text
    )
    assert int(counted[1]) >= 4
    eventually(lambda: ask(server, user_id).status_code == 201)

import re
import sqlite3
import sys
from contextlib import closing

import pytest
from django.db import connection


def test_the_process_answers_that_it_lives(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.post("/healthz").status_code == 405


@pytest.mark.django_db
def test_the_service_is_ready_while_the_database_answers(client):
    assert client.get("/readyz").json() == {"status": "ok", "database": "ok"}


@pytest.mark.django_db
def test_the_service_is_not_ready_without_its_database(client):
    def refuse(execute, sql, params, many, context):
        from django.db import OperationalError

        raise OperationalError("the server closed the connection")

    with connection.execute_wrapper(refuse):
        response = client.get("/readyz")
    assert (response.status_code, response.json()["database"]) == (503, "unreachable")


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="it is SQLite's way; PostgreSQL's is in tests/outages"
)
@pytest.mark.django_db(transaction=True)
def test_an_sqlite_that_only_reads_is_not_ready_and_one_that_another_writes_to_is(client):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        patience = cursor.fetchone()
        cursor.execute("PRAGMA query_only = ON")
        response = client.get("/readyz")
        cursor.execute("PRAGMA query_only = OFF")
        assert (response.status_code, response.json()["database"]) == (503, "read-only")
        with closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
            other.execute("BEGIN IMMEDIATE")
            assert client.get("/readyz").status_code == 200
        cursor.execute("PRAGMA busy_timeout")
        assert cursor.fetchone() == patience


def test_counters_are_for_callers_with_the_key(client):
    refused = client.get("/metrics")
    assert (refused.status_code, refused["WWW-Authenticate"]) == (401, "Bearer")
    answer = client.get("/metrics", headers={"Authorization": "Bearer dev-key"})
    assert b"payments_webhook_events_total" in answer.content


@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells it")
def test_the_files_that_are_open_are_counted_beside_their_limit(client):
    text = client.get("/metrics", headers={"Authorization": "Bearer dev-key"}).content.decode()
    number, limit = (
        re.search(rf"^process_{name}_fds (\S+)$", text, re.MULTILINE)[1] for name in ("open", "max")
    )
    assert 0 < float(number) < float(limit)

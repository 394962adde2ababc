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


def test_counters_are_for_who_has_the_key(client):
    refused = client.get("/metrics")
    assert (refused.status_code, refused["WWW-Authenticate"]) == (401, "Bearer")
    answer = client.get("/metrics", headers={"Authorization": "Bearer dev-key"})
    assert b"payments_webhook_events_total" in answer.content

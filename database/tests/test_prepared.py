import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from database.prepared import execute
from notifications.models import Feed
from tests.support.services import STACK

pytestmark = pytest.mark.django_db(transaction=True)

INSERT = "INSERT INTO notifications_feed (user_id, last_seq, latest_connection) VALUES (%s, 0, '') RETURNING user_id"
on_postgresql = pytest.mark.skipif(STACK != "services", reason="SQLite has no connection that could be lost")


def test_a_statement_returns_its_rows_and_takes_any_text():
    for user_id in ("a", 'Zoë\'s \\ "100 %" $1 \n 😀', "x" * 128):
        assert execute(INSERT, user_id) == [(user_id,)]
    assert {feed.user_id for feed in Feed.objects.all()} >= {"a"}
    assert execute("UPDATE notifications_feed SET last_seq = 1") == []


def test_what_is_executed_in_a_transaction_is_undone_with_it():
    with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012 the transaction is what is tested
        execute(INSERT, "a")
        raise ZeroDivisionError
    assert not Feed.objects.exists()
    with transaction.atomic():
        execute(INSERT, "b")
        Feed.objects.create(user_id="c")
    assert Feed.objects.count() == 2


def test_an_error_is_djangos_and_its_transaction_can_be_left():
    execute(INSERT, "a")
    with pytest.raises(IntegrityError), transaction.atomic():
        execute(INSERT, "a")
    assert execute(INSERT, "b") == [("b",)]


@on_postgresql
def test_a_statement_is_prepared_once_for_a_connection():
    for number in range(3):
        execute(INSERT, f"user {number}")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO notifications_feed%'"
        )
        assert cursor.fetchone() == (1,)


@on_postgresql
def test_a_connection_that_was_lost_is_an_operational_error_and_the_next_one_serves():
    execute(INSERT, "a")
    pid = connection.connection.info.backend_pid
    with connection.copy().cursor() as another:
        another.execute("SELECT pg_terminate_backend(%s)", [pid])
        another.connection.close()
    with pytest.raises(OperationalError), transaction.atomic():
        execute(INSERT, "b")
    connection.close()
    assert execute(INSERT, "c") == [("c",)]


def test_djangos_query_log_shows_a_statement_with_its_values():
    with CaptureQueriesContext(connection) as log:
        execute(INSERT, "a rider")
    assert "INSERT INTO notifications_feed" in log[0]["sql"]
    assert "'a rider'" in log[0]["sql"]


def test_a_wrapper_of_djangos_sees_each_statement():
    seen = []

    def watch(run, sql, parameters, *more):
        seen.append((sql, parameters))
        return run(sql, parameters, *more)

    with connection.execute_wrapper(watch):
        execute(INSERT, "a")
    assert seen == [(INSERT, ("a",))]


@on_postgresql
def test_what_is_set_for_a_transaction_holds_from_its_first_statement_to_its_end():
    def patience():
        return execute("SELECT current_setting('lock_timeout') WHERE 'now' = %s", "now")

    usual = patience()
    with transaction.atomic():
        execute("SET LOCAL lock_timeout = '250ms'")
        assert patience() == [("250ms",)]
        execute(INSERT, "a")
        transaction.set_rollback(True)
    assert patience() == usual
    assert not Feed.objects.exists()

import pytest
from django.db import connection, transaction

from database import prepared
from payments_project.configuration.databases import POSTGRESQL, database
from tests.support.plans import session_with
from tests.support.services import STACK

ADDRESS = "postgresql://user@host/name"


def test_what_the_address_of_a_postgresql_says_holds():
    assert database(ADDRESS)["OPTIONS"] == POSTGRESQL
    options = database(f"{ADDRESS}?options=-c%20lock_timeout%3D1s&sslmode=require")["OPTIONS"]
    assert options == POSTGRESQL | {"options": "-c lock_timeout=1s", "sslmode": "require"}


def test_two_writers_of_sqlite_take_turns():
    options = database("sqlite:///db.sqlite3")["OPTIONS"]
    assert (options["transaction_mode"], options["timeout"]) == ("IMMEDIATE", 5)


if STACK == "services":

    @pytest.mark.django_db(transaction=True)
    def test_transactions_read_what_is_committed_whatever_the_database_has_by_default():
        def level(execute):
            return execute("SELECT current_setting('transaction_isolation')")

        def through_django(sql):
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()

        assert level(through_django) == [("read committed",)]
        with session_with("default_transaction_isolation", "repeatable read"):
            for execute in (through_django, prepared.execute):
                with transaction.atomic():
                    assert level(execute) == [("read committed",)]

    @pytest.mark.django_db
    def test_sessions_read_what_is_committed():
        with connection.cursor() as cursor:
            cursor.execute("SELECT source FROM pg_settings WHERE name = 'default_transaction_isolation'")
            assert cursor.fetchone() == ("client",)

    @pytest.mark.django_db
    def test_dates_come_in_the_form_that_is_read_whatever_the_role_has_by_default():
        with connection.cursor() as cursor:
            cursor.execute("SELECT setting, source FROM pg_settings WHERE name = 'DateStyle'")
            setting, source = cursor.fetchone()
        assert setting.startswith("ISO")
        assert source == "client"

    @pytest.mark.django_db
    def test_postgresql_ends_what_waits_or_stands_still():
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("5s",)
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            assert cursor.fetchone() == ("30s",)

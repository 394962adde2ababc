"""The installation's row, and the epoch that is read with it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from notifications import installation, timeline
from notifications.models import Installation
from tests.support.plans import on_postgresql

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])


def read_and_hang_up(_=None):
    try:
        return installation.read()
    finally:
        connection.close()


def test_of_many_that_make_it_at_once_all_read_the_same():
    with ThreadPoolExecutor(8) as threads:
        read = set(threads.map(read_and_hang_up, range(16)))
    assert read == {installation.read()}
    assert Installation.objects.count() == 1


def test_two_databases_have_two_names_and_epochs():
    first = installation.read()
    Installation.objects.all().delete()
    second = installation.read()
    assert first.name != second.name
    assert first.epoch != second.epoch


def test_what_was_read_is_read_again_before_long(monkeypatch):
    first = installation.current()
    call_command("new_epoch", stdout=StringIO())
    monkeypatch.setattr(installation, "FRESH_SECONDS", 0)
    assert installation.current().epoch != first.epoch


def test_the_command_begins_a_new_epoch_and_says_so():
    first, out = installation.read(), StringIO()
    call_command("new_epoch", stdout=out)
    second = installation.read()
    assert second.epoch != first.epoch
    assert second.name != first.name  # a copy of a database is not the database it was copied from
    assert second.epoch in out.getvalue()
    assert (first.is_first, second.is_first) == (True, False)


def test_without_its_table_the_command_fails_in_a_sentence():
    with renamed_table(), pytest.raises(CommandError, match="Run it again"):
        call_command("new_epoch")


@contextmanager
def renamed_table():
    def rename(old, new):
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename("notifications_installation", "notifications_gone")
    try:
        yield
    finally:
        rename("notifications_gone", "notifications_installation")


def test_an_epoch_that_has_ended_is_not_ended_again():
    first = installation.read()
    assert installation.begin_epoch(instead_of=first.epoch)
    second = installation.read()
    assert not installation.begin_epoch(instead_of=first.epoch)
    assert installation.read() == second
    assert second.epoch != first.epoch
    assert second.name == first.name


@on_postgresql
def test_postgresqls_timeline_is_a_part_of_the_epoch():
    with connection.cursor() as cursor:
        cursor.execute("SELECT timeline_id FROM pg_control_checkpoint()")
        (number,) = cursor.fetchone()
    assert installation.read().epoch.startswith(f"{_epoch_of_row()}-{number:08X}-")


@on_postgresql
def test_a_dump_that_is_restored_has_another_epoch_which_is_not_the_first():
    before = installation.read()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE notifications_installation RENAME TO dumped")
        cursor.execute("CREATE TABLE notifications_installation (LIKE dumped)")
        cursor.execute("INSERT INTO notifications_installation SELECT * FROM dumped")
        after = installation.read()
        transaction.set_rollback(True)
    assert after.epoch != before.epoch
    assert (before.is_first, after.is_first) == (True, False)


@on_postgresql
def test_what_statements_read_along_with_numbers_is_a_part_of_the_epoch():
    identity = installation.read()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT ({timeline.mark()}), {timeline.of_writer()}")
        mark, segment = cursor.fetchone()
    assert installation.mark_of(identity.epoch) == mark == f"{_epoch_of_row()}-{segment}"
    assert installation.of(segment) == installation.of(None) == identity
    assert installation.of("00000099") is None


@on_postgresql
def test_where_the_timeline_may_not_be_read_the_epoch_is_without_it():
    installation.read()
    timeline.expressions.cache_clear()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("REVOKE EXECUTE ON FUNCTION pg_walfile_name(pg_lsn) FROM PUBLIC")
        cursor.execute("CREATE ROLE careful")
        cursor.execute("GRANT SELECT ON notifications_installation TO careful")
        cursor.execute("SET LOCAL ROLE careful")
        assert installation.read().epoch == installation.read().epoch == _epoch_of_row()
        transaction.set_rollback(True)
    timeline.expressions.cache_clear()


@on_postgresql
def test_where_the_clusters_name_may_not_be_read_the_epoch_has_the_timeline_still():
    before = installation.read().epoch
    timeline.expressions.cache_clear()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        cursor.execute("CREATE ROLE careful")
        cursor.execute("GRANT SELECT ON notifications_installation TO careful")
        cursor.execute("SET LOCAL ROLE careful")
        after = installation.read().epoch
        transaction.set_rollback(True)
    timeline.expressions.cache_clear()
    assert installation.mark_of(after) == installation.mark_of(before)
    assert after != before


def _epoch_of_row():
    return Installation.objects.get().epoch

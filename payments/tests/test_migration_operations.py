import threading

import pytest
from django.db import connection, models, transaction
from django.db.migrations.state import ProjectState

from payments.migration_operations import AddIndexUnlocked
from payments.models import RefundRequest

INDEX = models.Index(fields=["refund_status"], name="for_a_test")


def has_index():
    with connection.cursor() as cursor:
        return "for_a_test" in connection.introspection.get_constraints(cursor, RefundRequest._meta.db_table)


@pytest.fixture
def somebody_writes():
    """Let a transaction use the table for longer than a lock is waited for."""
    begun, may_end = threading.Event(), threading.Event()

    def write():
        with transaction.atomic():
            RefundRequest.objects.update(refund_status="")
            begun.set()
            may_end.wait(1)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    yield
    may_end.set()
    writer.join()


@pytest.mark.django_db(transaction=True)
def test_an_index_is_added_and_removed_while_a_transaction_uses_the_table(somebody_writes):
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
    operation = AddIndexUnlocked("refundrequest", INDEX)
    before = ProjectState.from_apps(RefundRequest._meta.apps)
    after = before.clone()
    operation.state_forwards("payments", after)
    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("payments", editor, before, after)
        assert has_index()
        operation.database_backwards("payments", editor, after, before)
        assert not has_index()

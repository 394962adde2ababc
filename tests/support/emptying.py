"""Empty the tests' database after a test that commits."""

from django.core.management.commands import flush
from django.db import connections, transaction

KEPT = {"django_content_type", "auth_permission"}
"""Tables that migrations fill, with the same rows for every test."""


class Command(flush.Command):
    """What Django's tests call as `flush`.

    Django's own empties every table, and makes the content types and permissions again, by 70 statements. That took longer
    than most tests.
    """

    def handle(self, *_, database, **__):
        """Empty the tables that have rows."""
        connection = connections[database]
        tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False))
        quote = connection.ops.quote_name
        with transaction.atomic(using=database), connection.cursor() as cursor:
            cursor.execute(
                " UNION ALL ".join(
                    f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {quote(table)})" for table in tables - KEPT
                )
            )
            filled = [quote(table) for (table,) in cursor.fetchall()]
            if connection.vendor == "postgresql" and filled:
                cursor.execute(f"TRUNCATE {', '.join(filled)} CASCADE")
            elif filled:
                for table in filled:  # foreign keys are looked at with the commit
                    cursor.execute(f"DELETE FROM {table}")

"""Operations of migrations that do not hold up a service that is running."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.migrations import AddIndex


class AddIndexUnlocked(AddIndexConcurrently):
    """Add an index while others write: on PostgreSQL with CONCURRENTLY, on SQLite as any other.

    Its migration has `atomic = False` and nothing else in it. Where it is cut short, PostgreSQL leaves an invalid
    index behind: drop that, then migrate again (https://www.postgresql.org/docs/current/sql-createindex.html).
    It waits for the transactions that use the table, for as long as they take: nobody waits behind it.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with _patient(schema_editor):
            operation = self._on(schema_editor)
            operation.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with _patient(schema_editor):
            operation = self._on(schema_editor)
            operation.database_backwards(self, app_label, schema_editor, from_state, to_state)

    def _on(self, schema_editor: Any) -> type[AddIndex]:
        return AddIndexConcurrently if schema_editor.connection.vendor == "postgresql" else AddIndex


@contextmanager
def _patient(schema_editor: Any) -> Iterator[None]:
    """Wait for locks without a bound."""
    if schema_editor.connection.vendor != "postgresql":
        yield
        return
    schema_editor.execute("SET lock_timeout = 0")
    try:
        yield
    finally:
        schema_editor.execute("RESET lock_timeout")

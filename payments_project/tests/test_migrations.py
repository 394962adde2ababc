"""Migrations run while the version before serves: what would stop it is refused, and it goes on writing."""

from itertools import count

import pytest

from tests.support.lint_migrations import lint

pytestmark = pytest.mark.django_db

_numbers = count(1)
FIRST = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField())])
    ]
"""
NEXT = """
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = [("sandbox", "0001_initial")]
    operations = [{operation}]
"""


@pytest.fixture
def is_safe(tmp_path, monkeypatch, settings):
    """Return a function that returns whether the linter takes an operation on a table that exists."""

    def check(operation, *, atomic=True):
        name = f"migrations_under_test_{next(_numbers)}"
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "0001_initial.py").write_text(FIRST)
        (package / "0002_next.py").write_text(NEXT.format(operation=operation, atomic=atomic))
        monkeypatch.syspath_prepend(tmp_path)
        settings.MIGRATION_MODULES = {"sandbox": name}
        return lint(app="sandbox")

    return check


@pytest.mark.parametrize(
    "operation",
    [
        'migrations.AddField("thing", "size", models.IntegerField(default=0))',
        'migrations.RemoveField("thing", "name")',
        'migrations.RenameField("thing", "name", "title")',
        'migrations.AlterField("thing", "name", models.IntegerField())',
        'migrations.AddIndex("thing", models.Index(fields=["name"], name="thing_by_name"))',
        'migrations.DeleteModel("thing")',
    ],
)
def test_a_migration_that_locks_or_breaks_what_is_running_is_refused(is_safe, operation, capsys):
    assert not is_safe(operation)
    assert "(sandbox, 0002_next)... ERR" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)  # an index is built concurrently outside a transaction only
def test_a_migration_that_neither_locks_nor_breaks_anything_is_taken(is_safe):
    assert is_safe('migrations.AddField("thing", "size", models.IntegerField(db_default=0))')
    index = 'models.Index(fields=["name"], name="thing_by_name")'
    assert is_safe(f'AddIndexConcurrently("thing", {index})', atomic=False)

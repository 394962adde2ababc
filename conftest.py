import os
from pathlib import Path

import pytest

from tests.support.services import STACK

SLOW = Path(__file__).parent / "tests"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Have the processes of pytest-xdist begin with what takes longest, so that they end together."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.path.is_relative_to(SLOW))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, tmp_path_factory):
    """Keep SQLite's test database in a file: in memory, two threads that write lock each other out."""
    from django.db import connections

    if STACK == "embedded":
        database = connections["default"].settings_dict
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
        # Tests need not survive a power cut.
        database["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker, tmp_path_factory):
    """Migrate once: yields the name of a copy of the tests' database, which servers start with copies of."""
    from django.core.management import get_commands
    from django.db import connection

    from tests.support import emptying
    from tests.support.database import Database, empty_database
    from tests.support.server import run

    get_commands()["flush"] = emptying.Command()
    name, folder = str(connection.settings_dict["NAME"]), tmp_path_factory.mktemp("migrated")
    if name == Database(os.environ["DATABASE_URL"]).name:
        # pytest-django makes a database only where a test that was collected uses it itself.
        with empty_database(folder) as empty:
            run("manage.py", "migrate", DATABASE_URL=empty.url).check_returncode()
            yield empty.name
        return
    with django_db_blocker.unblock():
        connection.close()
        if STACK == "services":  # nobody may be connected to what is copied
            connection.close_pool()
    with empty_database(folder, template=name) as copy:
        yield copy.name
    if STACK == "services":
        # A thread of the last test may hold a connection for a moment more, and pytest-django drops the database now.
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        Database(os.environ["DATABASE_URL"]).execute(others, name)

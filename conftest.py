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
    """Migrate once: yields the name of a copy of the tests' database, which servers start with copies of.

    None if no test that was collected uses the database itself: then pytest-django has made none.
    """
    from django.core.management import get_commands
    from django.db import connection

    from tests.support import emptying
    from tests.support.database import Database, empty_database

    get_commands()["flush"] = emptying.Command()
    name = str(connection.settings_dict["NAME"])
    if name == Database(os.environ["DATABASE_URL"]).name:
        yield None
        return
    with django_db_blocker.unblock():
        connection.close()
        if STACK == "services":  # nobody may be connected to what is copied
            connection.close_pool()
    with empty_database(tmp_path_factory.mktemp("migrated"), template=name) as copy:
        yield copy.name

import pytest

from tests.support.services import STACK


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
    """Migrate once: yields a copy of the tests' database that servers start with copies of."""
    from django.core.management import get_commands
    from django.db import connection

    from tests.support import emptying
    from tests.support.database import empty_database

    get_commands()["flush"] = emptying.Command()
    with django_db_blocker.unblock():
        connection.close()
        if STACK == "services":  # nobody may be connected to what is copied
            connection.close_pool()
    with empty_database(
        tmp_path_factory.mktemp("migrated"), template=connection.settings_dict["NAME"]
    ) as copy:
        yield copy

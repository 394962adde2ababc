"""A PostgreSQL of our own with a database of any number of notifications in it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from deploy.cluster.postgresql import PostgreSQL
from tests.support.ports import free_port

NOTIFICATIONS_A_USER = 10.5
KIB_A_NOTIFICATION = 2.0
"""Of disk, with the payments, events, changes and indexes that belong to it, and what filling needs for a while."""

BIG_TABLES = (
    "notifications_feed",
    "notifications_notification",
    "payments_payment",
    "payments_intent",
    "payments_webhookevent",
    "payments_statuschange",
)

SERVING = """
shared_buffers = 1GB
max_wal_size = 4GB
"""
"""The rest is as PostgreSQL comes: each commit is on the disk, and plans take the disk for a slow one."""

FILLING = """
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
autovacuum = off
work_mem = 256MB
maintenance_work_mem = 512MB
"""

_INDEXES = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = ANY (%s::regclass[])
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype <> 'f')
"""


class NoRoomError(Exception):
    """The disk is too full for so many notifications."""


def environment(url: str) -> dict[str, str]:
    """Return the settings of a service in production on this database. Nobody it names is asked."""
    return os.environ | {
        "ENV_FILE": "",
        "DEBUG": "",
        "DJANGO_SETTINGS_MODULE": "payments_project.settings",
        "DATABASE_URL": url,
        "REDIS_URL": "",
        "SECRET_KEY": "of-a-benchmark-that-serves-nobody-but-itself-0123456789",
        "NOTIFICATIONS_TOKEN_SECRET": "of-a-benchmark-that-mints-no-tokens-0123456789",
        "API_KEYS": "of-a-benchmark-0123456789",
        "STRIPE_SECRET_KEY": "sk_live_ofabenchmark",
        "PUBLIC_URL": "https://growth.invalid",
        "ALLOWED_HOSTS": "growth.invalid",
        "STRIPE_WEBHOOK_SECRETS": "whsec_5Jc8tW0qVh2ZrN7yKxL3mB6dFpG9sT4e",
        "LOG_LEVEL": "ERROR",
    }


@contextmanager
def filled_database(*, notifications: int) -> Iterator[str]:
    """Run a PostgreSQL with so many notifications in it and all that belongs to them; yield its URL.

    It has been started anew: its own memory is empty, the system's cache of files is not. Raises NoRoomError.
    """
    folder = Path(tempfile.mkdtemp(prefix="growth-"))
    try:
        _check_room(folder, notifications)
        port = free_port()
        server = PostgreSQL(folder=folder / "data", port=port)
        configuration = folder / "data" / "postgresql.conf"
        common = configuration.read_text() + SERVING
        configuration.write_text(common + FILLING)
        with server.running():
            server.create_database(name="growth", password="growth")  # noqa: S106 of a server for this once
            url = f"postgresql://postgres:growth@127.0.0.1:{port}/growth"
            migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
            subprocess.run(migrate, env=environment(url), check=True)  # noqa: S603
            _fill(url, notifications)
        # Start anew with a server that keeps what it commits: only filling may lose everything.
        configuration.write_text(common)
        with server.running():
            yield url
    finally:
        shutil.rmtree(folder)


def describe(url: str) -> dict[str, Any]:
    """Return PostgreSQL's `version`, and for each of the big `tables` its rows, about, and bytes with its indexes."""
    sizes = "SELECT relname, reltuples::bigint, pg_total_relation_size(oid) FROM pg_class WHERE relname = ANY (%s)"
    with psycopg.connect(url) as connection:
        tables = {
            name: (rows, size)
            for name, rows, size in connection.execute(sizes, [list(BIG_TABLES)]).fetchall()
        }
        version = connection.info.parameter_status("server_version")
    return {"version": version, "tables": {name: tables[name] for name in BIG_TABLES}}


def _check_room(folder: Path, notifications: int) -> None:
    needed = int(notifications * KIB_A_NOTIFICATION * 1024)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoomError(
            f"{notifications:,} notifications take {needed >> 30} GiB in {folder.parent}, where {free >> 30} are "
            "free: set TMPDIR to another folder."
        )


def _fill(url: str, notifications: int) -> None:
    """Fill the tables without those indexes that can be made again, which is quicker at the end."""
    script = Path(__file__).with_name("fill.sql").read_text()
    users = round(notifications / NOTIFICATIONS_A_USER)
    with psycopg.connect(url, autocommit=True) as connection:
        indexes = connection.execute(_INDEXES, [list(BIG_TABLES)]).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        connection.execute("SELECT set_config('growth.users', %s, false)", [str(users)])
        connection.execute(script.encode())
        for _, definition in indexes:
            connection.execute(definition.encode())
        # autovacuum was off: without statistics every plan would be a guess.
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")

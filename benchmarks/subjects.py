"""What is measured: how each is prepared, started and given payments."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psycopg

from .peers import PEERS, SCHEMA
from .rides import Ride
from .seeding import PEER_TABLES, SERVICE_TABLES, empty, seed_peer, seed_service
from .services import Services

ROOT = Path(__file__).parents[1]
WEBHOOK_SECRET = "whsec_benchmark0123456789abcdef"  # noqa: S105 opens nothing
API_KEY = "SUoCpLUt8fhNTq84mPU--64mLlKFj3uG"
TOKEN_SECRET = "YPDNjwQO-uwMEKVFPC-gPW4cYZnRYF-NQadvnaSHeuA"  # noqa: S105
DJANGO_SECRET = "H554K4o5ENSc1W4Novgs00YM1XOtAOLIKPOzlD4BF9NS9kLlgTflH-VuuJst4rMv"  # noqa: S105


class Seed(Protocol):
    def __call__(self, *, database_url: str, rides: Iterable[Ride]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Subject:
    """`environment` is what its processes get, besides PATH and the like."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    database_url: str
    tables: Sequence[str]
    seed: Seed = field(repr=False)
    prepare: Callable[[], None] = field(repr=False)

    def start_anew(self) -> None:
        """Forget every row of an earlier repetition."""
        empty(database_url=self.database_url, tables=self.tables)

    def add_payments(self, rides: Iterable[Ride]) -> None:
        self.seed(database_url=self.database_url, rides=rides)


LIMITS = ",".join(
    f"{name}=1000000"
    for name in (
        "connections-per-address",
        "connections-per-user",
        "registrations-per-address",
        "calls-per-key",
    )
)
"""All clients come from one address, and all calls with one key."""


def service(
    *, name: str, root: Path, services: Services, port: int, workers: int, changes: Mapping[str, str] = {}
) -> Subject:
    """Return the service of a checkout, as production runs it: DEBUG off, tokens checked, uvicorn."""
    database_url = services.database(name)
    environment = (
        _kept()
        | {
            "ENV_FILE": "",
            "DEBUG": "0",
            "SECRET_KEY": DJANGO_SECRET,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "WORKERS": str(workers),
            "DATABASE_URL": database_url,
            "REDIS_URL": services.redis_url,
            "API_KEYS": API_KEY,
            "NOTIFICATIONS_AUTH": "token",
            "NOTIFICATIONS_TOKEN_SECRET": TOKEN_SECRET,
            "STRIPE_SECRET_KEY": "sk_test_benchmark0123456789",
            "STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
            "STRIPE_API_BASE": services.stripe_url,
            "LOG_LEVEL": "WARNING",
            "LIMITS": LIMITS,
        }
        | dict(changes)
    )

    def migrate() -> None:
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v", "0"], cwd=root, env=environment, check=True
        )

    return Subject(
        name=name,
        command=[sys.executable, "manage.py", "serve", "--fd", "{fd}"],
        folder=root,
        environment=environment,
        database_url=database_url,
        tables=SERVICE_TABLES,
        seed=seed_service,
        prepare=migrate,
    )


def peer(*, name: str, services: Services) -> Subject:
    """Return one of the peers; benchmarks/peers says what they are."""
    made = PEERS[name]
    database_url = services.database(name)

    def prepare() -> None:
        made.prepare()
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(SCHEMA.read_bytes())

    return Subject(
        name=name,
        command=made.command,
        folder=ROOT,
        environment=_kept()
        | {
            "DATABASE_URL": database_url,
            "REDIS_URL": services.redis_url,
            "WEBHOOK_SECRET": WEBHOOK_SECRET,
            "API_KEY": API_KEY,
            "TOKEN_SECRET": TOKEN_SECRET,
            "STRIPE_API_BASE": services.stripe_url,
        },
        database_url=database_url,
        tables=PEER_TABLES,
        seed=seed_peer,
        prepare=prepare,
    )


def _kept() -> dict[str, str]:
    """Return what processes get of this one's environment: nothing that could be a setting."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in os.environ}

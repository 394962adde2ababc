"""How each kind of database is used."""

from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from payments_project.environment import BASE_DIR
from payments_project.postgresql import outage

POSTGRESQL = {
    # A longer reconnect_timeout lets the pool pause for longer and longer, also when the database is back.
    "pool": {
        "min_size": 1,
        "max_size": 20,
        "timeout": 5,
        "reconnect_timeout": 2,
        "reconnect_failed": outage.go_on_trying,
        "connection_class": outage.Connection,
    },
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    # Of a cluster's addresses, and after a failover, only a server that writes is one.
    "target_session_attrs": "read-write",
    # Nobody waits for long for who stopped in the middle of a transaction.
    "options": "-c lock_timeout=5s -c idle_in_transaction_session_timeout=30s",
}
"""How a PostgreSQL is used, where DATABASE_URL says nothing else."""


def database(url: str) -> dict[str, Any]:
    """Return Django's DATABASES entry for a database URL.

    SQLite: IMMEDIATE transactions, or two writers meet "database is locked"; WAL, so that readers never wait.
    PostgreSQL: the backend's pool, since every request under ASGI runs in a thread of its own. What the address says
    in its query, such as `?options=`, holds.
    Raises ImproperlyConfigured for anything else.
    """
    try:
        config: dict[str, Any] = dict(dj_database_url.parse(url, conn_health_checks=True))
    except ValueError:
        config = {"ENGINE": ""}
    options = config.setdefault("OPTIONS", {})
    if config["ENGINE"] == "django.db.backends.sqlite3":
        if config["NAME"] != ":memory:":
            config["NAME"] = BASE_DIR / config["NAME"]
        options |= {
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,  # shorter than anybody waits for an answer
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
    elif config["ENGINE"] == "django.db.backends.postgresql":
        config["ENGINE"] = "payments_project.postgresql"
        config["OPTIONS"] = POSTGRESQL | options
    else:
        raise ImproperlyConfigured(
            "DATABASE_URL is no address of a database. Set it to sqlite:///FILE or postgresql://USER@HOST/NAME."
        )
    return config

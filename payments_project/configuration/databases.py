"""Make Django's database settings from a URL."""

from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from psycopg import IsolationLevel
from psycopg_pool import ConnectionPool

from payments_project.configuration.environment import BASE_DIR
from payments_project.postgresql import outage, reserve

POSTGRESQL = {
    # With a longer reconnect_timeout the pool's pauses grow, and delay it when the database is back.
    "pool": {
        "min_size": 1,
        "max_size": reserve.CONNECTIONS,
        "timeout": 0.25,  # then the backend asks whether there is an outage, and goes on: postgresql/base.py
        "reconnect_timeout": 2,
        "reconnect_failed": ConnectionPool.check,  # else it gives up until a caller waits for a connection
        "connection_class": outage.Connection,
    },
    "connect_timeout": 5,
    # A host that is gone says nothing: 25 s with nothing sent, 15 s with something sent (docs/decisions/0015). TCP
    # alone would take a quarter of an hour.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    # Of several addresses, and after a failover, connect only to the server that takes writes.
    "target_session_attrs": "read-write",
    # The statements of events count on it; a database or a role may have another default. `options` sets it for what is
    # in no transaction, and this also behind a pooler that drops `options`.
    "isolation_level": IsolationLevel.READ_COMMITTED,
    # A process that stops in the middle of a transaction must not hold up the others for long. The driver reads dates of
    # no other form than ISO's, and a role may have another default.
    "options": "-c lock_timeout=5s -c idle_in_transaction_session_timeout=30s"
    " -c default_transaction_isolation=read\\ committed -c datestyle=ISO",
}
"""Options of PostgreSQL. Those in DATABASE_URL take precedence."""


def database(url: str) -> dict[str, Any]:
    """Return Django's DATABASES entry for a database URL.

    SQLite: IMMEDIATE transactions, since otherwise two writers can fail with "database is locked"; WAL, so that readers
    never wait. PostgreSQL: the backend's pool, since requests run in many threads; options in the URL's query, such as
    `?options=`, take precedence. Raises ImproperlyConfigured for anything else.
    """
    try:
        # The backend checks a connection that it takes out of the pool itself, at less cost (postgresql/outage.py).
        config: dict[str, Any] = dict(dj_database_url.parse(url))
    except ValueError:
        config = {"ENGINE": ""}
    options = config.setdefault("OPTIONS", {})
    if url.rstrip("/") == "sqlite:":  # it would be in memory, and each thread would have one of its own
        config["ENGINE"] = ""
    if config["ENGINE"] == "django.db.backends.sqlite3":
        # A relative file would depend on the folder in which the process was started.
        if config["NAME"] != ":memory:":
            config["NAME"] = BASE_DIR / config["NAME"]
        options |= {
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,  # seconds: less than callers wait for an answer
            # FULL: in WAL, NORMAL may lose the last commits with the power (https://www.sqlite.org/pragma.html).
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
    elif config["ENGINE"] == "django.db.backends.postgresql":
        config["ENGINE"] = "payments_project.postgresql"
        config["OPTIONS"] = POSTGRESQL | options
    else:
        raise ImproperlyConfigured(
            "DATABASE_URL is no address of a database. Set it to sqlite:///FILE or postgresql://USER@HOST/NAME. "
            "In a password, write each of / ? # [ ] @ : % as % with two digits, such as %23 for #."
        )
    return config

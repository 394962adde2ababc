"""Refuse to reach PostgreSQL over an open network without TLS.

Source of the options: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, register
from psycopg.pq import Conninfo

from payments_project.checks.errors import error
from payments_project.checks.network import is_open

_ENCRYPTED = {"require", "verify-ca", "verify-full"}
"""Values of sslmode. With each other one the server decides, or nobody, and libpq goes on in clear text."""


@register("service")
def check_postgresql(**_: Any) -> Iterable[CheckMessage]:
    """Refuse an open network without TLS, without DEBUG."""
    if not settings.DEBUG:
        yield from refused(settings.DATABASES["default"])


def refused(database: Mapping[str, Any]) -> Iterator[CheckMessage]:
    """Yield the error of one of Django's DATABASES, if it has one."""
    if not database["ENGINE"].endswith("postgresql"):
        return
    options = _options(database)
    hosts = [host for host in _hosts(options) if is_open(host)]
    # With the system's certificates libpq takes no sslmode but verify-full, which is the default then.
    is_encrypted = options.get("sslmode") in _ENCRYPTED or options.get("sslrootcert") == "system"
    if hosts and not is_encrypted:
        yield error(
            27,
            f"DATABASE_URL leads to {' and '.join(hosts)} over an open network, and sslmode is {options.get('sslmode')}, "
            "so that Checkout links may go there in clear text.",
            "Add ?sslmode=verify-full&sslrootcert=FILE to DATABASE_URL, with the file of the certificates that the server's "
            "is verified by, or name a server on a private network.",
        )


def _options(database: Mapping[str, Any]) -> dict[str, str]:
    """Return the options that a connection will have: of DATABASE_URL, its service, and the variables of libpq."""
    given = {**database["OPTIONS"], **({"host": database["HOST"]} if database["HOST"] else {})}
    with _service(str(given.get("service", ""))):
        known = {each.keyword.decode(): (each.val or b"").decode() for each in Conninfo.get_defaults()}
    return known | {name: str(value) for name, value in given.items()}


@contextmanager
def _service(name: str) -> Iterator[None]:
    """Let libpq look up the options of a service of this name; empty: that of the environment."""
    before = os.environ.get("PGSERVICE")
    if name:
        os.environ["PGSERVICE"] = name
    try:
        yield
    finally:
        os.environ.pop("PGSERVICE", None)
        if before is not None:
            os.environ["PGSERVICE"] = before


def _hosts(options: Mapping[str, str]) -> list[str]:
    """Return the addresses that are connected to, in the order of the list. Unix sockets are left out."""
    pairs = zip_longest(
        options.get("host", "").split(","), options.get("hostaddr", "").split(","), fillvalue=""
    )
    return [address or host for host, address in pairs if address or not host.startswith(("/", "@"))]

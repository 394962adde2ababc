"""Ask the database before the service serves, without its pool."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper


@contextmanager
def unpooled_connection() -> Iterator[BaseDatabaseWrapper]:
    """Yield a connection beside the pool, to be opened with its first use, and close it.

    The pool retries for a while, and then hides the reason. It also starts threads: a server may import the application,
    and then fork.
    """
    own = connection.copy()
    own.settings_dict["OPTIONS"].pop("pool", None)
    try:
        yield own
    finally:
        own.close()

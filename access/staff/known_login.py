"""The login that earlier versions made in development. Everybody knows its password."""

from django.contrib.auth.hashers import check_password
from django.db import connection

NAME = "admin"
PASSWORD = "admin"  # noqa: S105


def is_there() -> bool:
    """Return whether the active user NAME has PASSWORD. Raises DatabaseError.

    The connection is none of the pool, which starts threads: a server may import the application, and then fork.
    """
    own = connection.copy()
    own.settings_dict["OPTIONS"].pop("pool", None)
    try:
        with own.cursor() as cursor:
            cursor.execute("SELECT password FROM auth_user WHERE username = %s AND is_active", [NAME])
            row = cursor.fetchone()
    finally:
        own.close()
    return row is not None and check_password(PASSWORD, row[0])

"""The login that earlier versions made in development. Everybody knows its password."""

from django.contrib.auth.hashers import check_password

from database.unpooled import unpooled_connection

NAME = "admin"
PASSWORD = "admin"  # noqa: S105


def is_there() -> bool:
    """Return whether the active user NAME has PASSWORD. Raises DatabaseError."""
    with unpooled_connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT password FROM auth_user WHERE username = %s AND is_active", [NAME])
        row = cursor.fetchone()
    return row is not None and check_password(PASSWORD, row[0])

"""Prepare the database before serving, and print where everything is."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from rich.table import Table

from access.escaping import escape
from access.staff import known_login
from database.unpooled import unpooled_connection
from payments_project.checks.known_login import refuse_known_login


def prepare_database(*, may_migrate: bool) -> str | None:
    """Migrate and make a login in development; in production refuse a database that is behind, or has a known login.

    Return the password of a login that was made, or None. Nobody can read it later. Raises CommandError.
    """
    with use_database():
        check_connection()
        executor = MigrationExecutor(connection)
        is_behind = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if is_behind and not may_migrate:
            raise CommandError("The database is behind this version: run `manage.py migrate` first.")
        if is_behind:
            call_command("migrate", verbosity=0)
        _refuse_known_login()
        return _make_development_login() if may_migrate and settings.DEBUG else None


@contextmanager
def use_database() -> Iterator[None]:
    """Turn a DatabaseError into a CommandError of one sentence, and close the connection."""
    try:
        yield
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CommandError(f"Cannot use the database: {escape(reason)}. Check DATABASE_URL.") from None
    finally:
        connection.close()


def check_connection() -> None:
    """Connect once. Raises a DatabaseError that says why that cannot be."""
    with unpooled_connection() as probe:
        probe.ensure_connection()


def _make_development_login() -> str | None:
    """Make a superuser with a random password in a database without users; return the password, or None.

    An earlier version's login, whose password everybody knows, gets a random one too.
    """
    users = get_user_model().objects
    password = secrets.token_urlsafe(12)
    if known_login.is_there():
        user = users.get(username=known_login.NAME)
        user.set_password(password)
        user.save(update_fields=["password"])
        return password
    if users.exists():
        return None
    users.create_superuser(username=known_login.NAME, email="", password=password)
    return password


def _refuse_known_login() -> None:
    try:
        refuse_known_login()
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from None


def banner(more: dict[str, str], *, password: str | None) -> Table:
    """Return a table of all addresses and development keys, and `more` rows, for the terminal.

    `password`: that of the development login, if it was just made.
    """
    url = settings.PUBLIC_URL
    rows = {
        "Demo page" if settings.DEBUG else "Page": f"{url}/",
        "WebSocket": f"{url.replace('http', 'ws', 1)}/basic/ws",
        **({"API page": f"{url}/api/docs"} if settings.API_DOCS else {}),
        "Admin": f"{url}/admin/",
        "Health": f"{url}/healthz",
    }
    if settings.DEBUG:
        known = f"{password}, shown this once" if password else "as it was shown when the login was made"
        rows["Admin login"] = f"{known_login.NAME} / {known}"
        rows["API key"] = f"Authorization: Bearer {settings.API_KEYS[0]}"
    if settings.STRIPE_SANDBOX:
        rows["Stripe"] = f"sandbox, {url}/sandbox/"
        if settings.DEBUG:
            rows["Sandbox key"] = settings.STRIPE_SECRET_KEY
    else:
        rows["Stripe"] = f"{settings.STRIPE_SECRET_KEY[:8]}…, events to {url}/webhooks/stripe/"
    table = Table(title="Payment notification service", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in (rows | more).items():
        table.add_row(*row)
    return table

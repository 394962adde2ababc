"""What comes before serving: the database is prepared, and whoever starts the service reads where everything is."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from rich.table import Table

logger = logging.getLogger(__name__)

DEVELOPMENT_LOGIN = ("admin", "admin")


def prepare_database(*, may_migrate: bool) -> None:
    """Migrate, and in development create a login; or refuse a database that is behind. Raises CommandError."""
    with use_database():
        check_connection()
        executor = MigrationExecutor(connection)
        is_behind = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if is_behind and not may_migrate:
            raise CommandError("The database is behind this version: run `manage.py migrate` first.")
        if is_behind:
            call_command("migrate", verbosity=0)
        if may_migrate and settings.DEBUG:
            _make_development_login()
        from access import keys  # noqa: PLC0415 models: `deploy.cluster` imports this before it sets Django up

        if not settings.API_KEYS and not keys.is_any_usable():
            logger.warning(
                "No backend can ask for a payment, because there is no API key. Make one with `manage.py api_key create`."
            )


@contextmanager
def use_database() -> Iterator[None]:
    """Turn a DatabaseError into a CommandError of one sentence, and close the connection."""
    try:
        yield
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CommandError(f"Cannot use the database: {reason}. Check DATABASE_URL.") from None
    finally:
        connection.close()


def check_connection() -> None:
    """Connect once without the pool, which would retry for a while and then hide the reason."""
    probe = connection.copy()
    probe.settings_dict["OPTIONS"].pop("pool", None)
    try:
        probe.ensure_connection()
    finally:
        probe.close()


def _make_development_login() -> None:
    """Create the login that the banner shows, unless it exists."""
    users = get_user_model().objects
    name, password = DEVELOPMENT_LOGIN
    if not users.filter(username=name).exists():
        users.create_superuser(username=name, email="", password=password)


def banner(more: dict[str, str]) -> Table:
    """Return a table of all addresses and development keys, and `more` rows, for the terminal."""
    url = settings.PUBLIC_URL
    rows = {
        "Demo page" if settings.DEBUG else "Page": f"{url}/",
        "WebSocket": f"{url.replace('http', 'ws', 1)}/basic/ws",
        **({"API page": f"{url}/api/docs"} if settings.API_DOCS else {}),
        "Admin": f"{url}/admin/",
        "Health": f"{url}/healthz",
    }
    if settings.DEBUG:
        rows["Admin login"] = " / ".join(DEVELOPMENT_LOGIN)
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

"""`manage.py serve`: everything from a checked configuration to a running Daphne."""

import socket
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from rich.console import Console
from rich.table import Table

from notifications.protocol import MESSAGE_MAX_BYTES
from payments_project.checks import refuse_bad_settings

DEVELOPMENT_LOGIN = ("admin", "admin")


class Command(BaseCommand):
    help = "Serve HTTP and WebSocket with Daphne; with DEBUG, set up the database and a login first."
    requires_system_checks = []  # refused below, in sentences

    def handle(self, *_: Any, **__: Any) -> None:
        try:
            refuse_bad_settings()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        sockets = listen(host=settings.HOST, port=settings.PORT)
        prepare_database()
        Console().print(banner())
        serve(sockets)


def listen(*, host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen on every address of `host`: `localhost` is 127.0.0.1 and ::1."""
    sockets = []
    try:
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
                continue
            sockets.append(socket.create_server(address[:2], family=family, backlog=1024))
    except OSError as error:
        message = f"Cannot listen on {host}:{port}: {error.strerror or error}. Set PORT to a free port."
        raise CommandError(message) from None
    return sockets


def prepare_database() -> None:
    """In development, migrate and make a login; in production, refuse a database that is behind."""
    try:
        check_connection()
        executor = MigrationExecutor(connection)
        is_behind = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if is_behind and not settings.DEBUG:
            raise CommandError("The database is behind this version: run `manage.py migrate` first.")
        if is_behind:
            call_command("migrate", verbosity=0)
        if settings.DEBUG:
            make_development_login()
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CommandError(f"Cannot use the database: {reason}. Check DATABASE_URL.") from None
    finally:
        connection.close()


def check_connection() -> None:
    """Connect once without the pool, which would try again for a while and then not say why it failed."""
    probe = connection.copy()
    probe.settings_dict["OPTIONS"].pop("pool", None)
    try:
        probe.ensure_connection()
    finally:
        probe.close()


def make_development_login() -> None:
    """Make the login that the banner names, unless there is one."""
    users = get_user_model().objects
    name, password = DEVELOPMENT_LOGIN
    if not users.filter(username=name).exists():
        users.create_superuser(username=name, email="", password=password)


def banner() -> Table:
    """Return where everything is, for a person to read."""
    url = settings.PUBLIC_URL
    rows = [
        ("Demo page", f"{url}/"),
        ("WebSocket", f"{url.replace('http', 'ws', 1)}/basic/ws"),
        ("API page", f"{url}/api/docs"),
        ("Admin", f"{url}/admin/"),
        ("Health", f"{url}/healthz"),
    ]
    if settings.DEBUG:
        rows.append(("Admin login", " / ".join(DEVELOPMENT_LOGIN)))
        rows.append(("API key", f"Authorization: Bearer {settings.API_KEYS[0]}"))
    if settings.STRIPE_SANDBOX:
        rows.append(("Stripe", f"sandbox, {url}/sandbox/"))
        if settings.DEBUG:
            rows.append(("Sandbox key", settings.STRIPE_SECRET_KEY))
    else:
        rows.append(("Stripe", f"{settings.STRIPE_SECRET_KEY[:8]}…, events to {url}/webhooks/stripe/"))
    table = Table(title="Payment notification service", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def serve(sockets: list[socket.socket]) -> None:
    """Run Daphne on listening sockets until SIGINT or SIGTERM."""
    from daphne.server import Server  # noqa: PLC0415 importing it installs Twisted's reactor
    from twisted.internet import reactor  # noqa: PLC0415 which has to come first

    from payments_project.asgi import application  # noqa: PLC0415 after the settings were checked

    first, *others = sockets

    def prepare() -> None:
        # A message that is too large is answered with close code 1009 rather than a cut connection.
        server.ws_factory.setProtocolOptions(failByDrop=False)
        for sock in others:  # an endpoint string can name no IPv6 socket
            reactor.adoptStreamPort(sock.fileno(), sock.family, server.http_factory)

    server = Server(
        application=application,
        endpoints=[f"fd:fileno={first.fileno()}"],
        websocket_max_message_size=MESSAGE_MAX_BYTES,
        websocket_max_frame_size=MESSAGE_MAX_BYTES,
        websocket_timeout=-1,
        ping_interval=20,
        ping_timeout=20,
        # A view whose client hung up still asks Stripe for up to a minute. Cut off, it would keep its
        # database connection for ever.
        application_close_timeout=180,
        server_name="",
        ready_callable=prepare,
    )
    server.run()

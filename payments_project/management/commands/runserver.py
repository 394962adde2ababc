"""`manage.py runserver`: serve on Daphne for development, with reload.

docs/operating.md lists what it does not bound.
"""

import os
import sys
from typing import Any

from daphne.management.commands import runserver
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from payments_project.checks import redis_check, refuse_bad_settings
from payments_project.serving.listening import listen
from payments_project.serving.startup import check_connection, use_database

BEARERS = ("sandbox", "v1", "checkout")
"""First parts of paths whose rest may open a payment page. The rest is not written to the terminal."""


class Command(runserver.Command):  # type: ignore[misc]  # Daphne has no types
    """The command."""

    addr: str
    help = "Serve for development, with reload: pages, HTTP, WebSocket, webhooks and the sandbox."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default_port = str(settings.PORT)
        if settings.HOST != "localhost":
            self.default_addr = settings.HOST

    def run(self, **options: Any) -> None:
        """Serve on the address of the command line, as if HOST and PORT had been set to it.

        Links, host names and the sandbox use these settings, which are read once. So if they differ, the command starts
        again with them.
        """
        if self.addr == "0":  # Django's documentation has it
            self.addr = "0.0.0.0"  # noqa: S104 as the developer asks
        given = {"PORT": self.port}
        if self.addr not in {self.default_addr, settings.HOST}:
            given["HOST"] = self.addr
        if given["PORT"] != self.default_port or "HOST" in given:
            os.environ |= given
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606 it is this command again
        try:
            refuse_bad_settings()
        except ImproperlyConfigured as error:
            advice = "To develop, set DEBUG=1: `make run` writes a .env with it."
            raise CommandError(f"{error}\n{advice}") from None
        for sock in listen(
            host=self.addr, port=int(self.port)
        ):  # Daphne would log the failure, and wait for ever
            sock.close()
        with use_database():
            check_connection()
        if problem := redis_check.problem():
            self.stderr.write(self.style.WARNING(problem))
        super().run(**options)

    def log_action(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        """Log a request, without the part of its path that opens a page."""
        prefix = settings.FORCE_SCRIPT_NAME or ""
        first, *rest = details.get("path", "").removeprefix(prefix).removeprefix("/").split("/", 1)
        if rest and rest[0] and first in BEARERS:
            details = details | {"path": f"{prefix}/{first}/…"}
        super().log_action(protocol, action, details)

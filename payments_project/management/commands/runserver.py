"""`manage.py runserver`: Daphne, the development server, with reload. What it does not bound is in docs/operating.md."""

import os
import sys
from typing import Any

from daphne.management.commands import runserver
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from payments_project import redis_check
from payments_project.checks import refuse_bad_settings
from payments_project.serving.startup import check_connection, use_database

BEARERS = ("sandbox", "v1", "checkout")
"""What follows these in a path may open a payment page: it is not written to the terminal."""


class Command(runserver.Command):  # type: ignore[misc]  # Daphne has no types
    help = "Serve for development, with reload: pages, HTTP, WebSocket, webhooks and the sandbox."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default_port = str(settings.PORT)
        if settings.HOST != "localhost":
            self.default_addr = settings.HOST

    def run(self, **options: Any) -> None:
        """Serve on the address of the command line. Links, host names and the sandbox go by HOST and PORT.

        Where these say something else the command is begun anew with them, for settings are read once.
        """
        given = {"PORT": self.port} | ({"HOST": self.addr} if self.addr != self.default_addr else {})
        if given["PORT"] != self.default_port or "HOST" in given:
            os.environ |= given
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606 it is this command once more
        try:
            refuse_bad_settings()
        except ImproperlyConfigured as error:
            advice = "To develop, set DEBUG=1: `make run` writes a .env with it."
            raise CommandError(f"{error}\n{advice}") from None
        with use_database():
            check_connection()
        if complaint := redis_check.complaint():
            self.stderr.write(self.style.WARNING(complaint))
        super().run(**options)

    def log_action(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        """Write down a request, without what opens a page."""
        prefix = settings.FORCE_SCRIPT_NAME or ""
        first, *rest = details.get("path", "").removeprefix(prefix).removeprefix("/").split("/", 1)
        if rest and rest[0] and first in BEARERS:
            details = details | {"path": f"{prefix}/{first}/…"}
        super().log_action(protocol, action, details)

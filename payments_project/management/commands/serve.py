"""`manage.py serve`: check the settings and the database, then serve."""

import argparse
import contextlib
import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from access.api_keys import keys
from payments_project.checks import redis_check, refuse_bad_settings
from payments_project.postgresql import server_log
from payments_project.serving import process, uvicorn
from payments_project.serving.listening import adopt, listen
from payments_project.serving.startup import banner, prepare_database, use_database

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """The command."""

    help = "Serve HTTP and WebSocket; with DEBUG, set up the database and a login first."
    requires_system_checks = []  # refused below, in sentences

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the option."""
        parser.add_argument(
            "--fd",
            type=int,
            help="serve on the listening socket with this number, as a process manager passes it",
        )

    def handle(self, *_: Any, fd: int | None, **__: Any) -> None:
        """Serve until a signal ends the process."""
        try:
            refuse_bad_settings()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        if fd is None:
            sockets = listen(host=settings.HOST, port=settings.PORT)
            password = prepare_database(may_migrate=settings.DEBUG)
            _say_where_everything_is(password)
        else:  # one of several processes: the process manager has prepared the database once
            sockets = [adopt(fd)]
            prepare_database(may_migrate=False)
        with use_database():
            problems = [redis_check.problem(), keys.problem(), "" if settings.DEBUG else server_log.problem()]
        for problem in filter(None, problems):
            logger.warning(problem)
        from payments_project.asgi import application  # noqa: PLC0415 after the settings were checked

        # After all imports: what they made is then left out of the collections.
        process.collect_less()
        uvicorn.serve(application=application, sockets=sockets)


def _say_where_everything_is(password: str | None) -> None:
    """Print the addresses. Output that goes nowhere does not keep the service from serving.

    The disk may be full, or the reader of a pipe gone: there rich would end the process.
    """
    console = Console(markup=False)  # it would take [fd00::2] for markup
    with contextlib.suppress(OSError, SystemExit):
        console.print(banner({}, password=password))
        console.print(f"Open {settings.PUBLIC_URL}/ first. Ctrl-C stops it.", soft_wrap=True)

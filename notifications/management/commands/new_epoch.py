"""`manage.py new_epoch`: begin a new epoch of the feeds' numbers."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from database.errors import describe
from notifications import installation


class Command(BaseCommand):
    """The command."""

    help = (
        "Begin a new epoch of the feeds' numbers, after the database was restored, copied or has lost commits. Clients "
        "are disconnected, and get `resumed: false` when they resume. Exit code: 0 done, 1 the database failed."
    )

    def handle(self, *_: Any, **__: Any) -> None:
        """Begin the epoch and print it."""
        try:
            identity = installation.renew()
        except DatabaseError as error:
            message = f"The database failed ({describe(error)}); the epoch is as it was. Run it again."
            raise CommandError(message) from error
        self.stdout.write(f"The epoch is {identity.epoch}. Servers notice it within seconds.")

"""`manage.py api_key`: create, list, rotate, expire and revoke API keys."""

import argparse
from collections.abc import Callable
from typing import IO, Any, TypeVar, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from access import arguments
from access.api_keys import keys
from access.api_keys.key_text import KeyText
from access.api_keys.scopes import Scope
from access.models import ApiKey

Value = TypeVar("Value")
_WHICH = "the key's name, or its id (pns_…)"
_EXPIRES = "when the key ends: 2027-01-31, 2027-01-31T12:00:00Z, 90d, or never"
# rich takes 80 columns where there is no terminal, and folds ids and scopes that scripts look for.
_PIPE_WIDTH = 200


def _read(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return a reader of an argument whose ValueError becomes argparse's message."""

    def checked(text: str) -> Value:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def _scopes(text: str) -> list[Scope]:
    try:
        return [Scope(word.strip()) for word in text.split(",")]
    except ValueError:
        raise ValueError(f"{text!r} is no scope: send any of {', '.join(Scope)}") from None


class Command(BaseCommand):
    """The command."""

    help = (
        "Make and end the keys of the HTTP API. A key is shown once, when it is made. "
        "Exit code: 0 done, 1 refused or the database failed, 2 wrong usage."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the subcommands with their options."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        create = actions.add_parser("create", help="make a key and print it, once")
        create.add_argument("name", help="which program uses it; it stands on all that the key causes")
        create.add_argument(
            "--scope",
            action="extend",
            dest="scopes",
            type=_read(_scopes),
            required=True,
            help=f"what it may do: {', '.join(Scope)}; repeatable, or separated by commas",
        )
        create.add_argument("--expires", type=_read(arguments.end), help=f"{_EXPIRES}, the default")

        actions.add_parser("list", help="show all keys, without their secrets")

        rotate = actions.add_parser("rotate", help="make a key that replaces one, and print it, once")
        rotate.add_argument("which", help=_WHICH)
        rotate.add_argument(
            "--overlap",
            type=_read(arguments.span),
            default=keys.OVERLAP_DEFAULT,
            help="how long the old key works on: 0m, 12h, 7d; default: 1d",
        )
        rotate.add_argument(
            "--expires",
            type=_read(arguments.end),
            # None is `never`, so `...` stands for an option that was not given.
            default=...,
            help=f"{_EXPIRES}; needed if the old one ends",
        )

        expire = actions.add_parser("expire", help="let a key end at a time to come")
        expire.add_argument("which", help=_WHICH)
        expire.add_argument("at", metavar="WHEN", type=_read(arguments.end), help=_EXPIRES)

        revoke = actions.add_parser("revoke", help="refuse a key from now on, for good")
        revoke.add_argument("which", help=f"{_WHICH}; by its name, also the keys that it replaced")

    def handle(self, *_: Any, action: str, **options: Any) -> None:
        """Do it. Raises CommandError with what to do instead."""
        try:
            getattr(self, f"_{action}")(options)
        except keys.RefusedError as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            message = f"The database failed ({type(error).__name__}); no key was changed. Run it again."
            raise CommandError(message) from error

    def _create(self, options: dict[str, Any]) -> None:
        key, text = keys.create(name=options["name"], scopes=options["scopes"], expires_at=options["expires"])
        self._show(text, f"{key} may {', '.join(key.scopes.split())}{_until(key)}.")

    def _rotate(self, options: dict[str, Any]) -> None:
        old = keys.find(options["which"])
        if options["expires"] is ... and old.expires_at and not old.replaced_by:
            raise CommandError(
                f"{old} ends on {old.expires_at:%Y-%m-%d %H:%M} UTC. Say when the new one does: --expires 90d, or never."
            )
        expires_at = None if options["expires"] is ... else options["expires"]
        new, text = keys.rotate(old, overlap=options["overlap"], expires_at=expires_at)
        old.refresh_from_db()
        ends = "is revoked" if old.revoked_at else f"works{_until(old)}"
        self._show(text, f"{new} replaces {old.label}, which {ends}.")

    def _show(self, text: KeyText, sentence: str) -> None:
        """Write the key alone to standard output, so that a script can take it, and the rest beside it."""
        self.stdout.write(str(text))
        self.stderr.write(f"{sentence} Keep the key now: it is not shown again.", style_func=str)

    def _expire(self, options: dict[str, Any]) -> None:
        key = keys.expire(keys.find(options["which"]), at=options["at"])
        self.stdout.write(f"{key} works{_until(key) or ' without an end'}.")

    def _revoke(self, options: dict[str, Any]) -> None:
        key = keys.find(options["which"])
        for each in keys.revoke(key, with_replaced=options["which"] == key.name):
            self.stdout.write(f"{each} is revoked: it is refused from now on.")

    def _list(self, _: dict[str, Any]) -> None:
        table = Table()
        for column in ("Name", "Id", "State", "Scopes", "Created (UTC)", "Ends (UTC)", "Last used (UTC)"):
            table.add_column(column, overflow="fold")
        now = timezone.now()
        for key in ApiKey.objects.all():
            times = map(_minute, (key.created_at, key.expires_at, key.last_used_at))
            table.add_row(key.name, key.label, key.state(at=now), key.scopes, *times)
        for number in range(1, len(settings.API_KEYS) + 1):
            table.add_row(f"API_KEYS[{number}]", "", "active", "all", "", "", "", style="dim")
        console = Console(file=cast("IO[str]", self.stdout), markup=False, highlight=False)
        if not console.is_terminal:
            console.width = _PIPE_WIDTH
        console.print(table)


def _minute(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""


def _until(key: ApiKey) -> str:
    return f" until {_minute(key.expires_at)} UTC" if key.expires_at else ""

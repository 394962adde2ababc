"""`manage.py second_factor`: set up an authenticator app for a member of staff, or remove it."""

import argparse
import io
from typing import Any

import segno
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.models import Session
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from access.escaping import escape

RECOVERY_CODES = 8


class Command(BaseCommand):
    """The command."""

    help = "Set up an authenticator app, and recovery codes, for a member of staff; replaces those before."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("name", help="the name that the member logs in with")
        parser.add_argument("--remove", action="store_true", help="remove app and codes, as after a loss")

    def handle(self, *_: Any, name: str, remove: bool, **__: Any) -> None:
        """Set up or remove. The member's sessions end."""
        users = get_user_model()
        try:
            user = users.objects.get_by_natural_key(name)
        except users.DoesNotExist:
            raise CommandError(
                f"There is no user {escape(name)}. Make one with createsuperuser first."
            ) from None
        # All or nothing: a member without the old app and without a new one would log in with a password alone.
        with transaction.atomic():
            for devices in (TOTPDevice.objects, StaticDevice.objects):
                devices.filter(user=user).delete()
            lines = [f"{escape(name)} has no second factor any more."] if remove else _set_up(user)
            _end_sessions(user)
        if not remove:
            self.stdout.write("Let the authenticator app scan this, once:\n")
            drawing = io.StringIO()
            segno.make(lines[0]).terminal(drawing, compact=True)
            self.stdout.write(drawing.getvalue())
        self.stdout.write("\n".join(lines))


def _set_up(user: AbstractBaseUser) -> list[str]:
    """Return the lines to show once: the address that the app takes, and the recovery codes."""
    app = TOTPDevice.objects.create(user=user, name="app")
    codes = StaticDevice.objects.create(user=user, name="recovery codes")
    tokens = [codes.token_set.create(token=StaticToken.random_token()).token for _ in range(RECOVERY_CODES)]
    return [
        app.config_url,
        "",
        "Each of these recovery codes is good once, in place of a code of the app. Keep them apart from the password:",
        *tokens,
    ]


def _end_sessions(user: AbstractBaseUser) -> None:
    # The user stands in the session's encoded data, which no query can search.
    for session in Session.objects.iterator():
        if session.get_decoded().get("_auth_user_id") == str(user.pk):
            session.delete()

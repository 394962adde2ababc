"""Migrate the service's database before workers start."""

import os

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from payments_project.checks import refuse_bad_settings
from payments_project.serving.startup import make_development_login, refuse_known_password


def load_settings() -> None:
    """Read the settings from the environment; raise ImproperlyConfigured for bad ones."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payments_project.settings")
    django.setup()
    refuse_bad_settings()


def prepare_database() -> str | None:
    """Migrate, and in development make a login; return its password, or None if none was made.

    Raises CommandError in production for a login whose password everybody knows.
    """
    call_command("migrate", verbosity=0)
    password = None
    if settings.DEBUG:
        password = make_development_login()
    else:
        refuse_known_password()
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's alone has one
    return password

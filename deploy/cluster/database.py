"""Migrate the service's database before workers start."""

import os

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from payments_project.checks import refuse_bad_settings
from payments_project.serving.startup import make_development_login


def load_settings() -> None:
    """Read the settings from the environment; raise ImproperlyConfigured for bad ones."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payments_project.settings")
    django.setup()
    refuse_bad_settings()


def prepare_database() -> None:
    """Migrate, and in development make a login."""
    call_command("migrate", verbosity=0)
    if settings.DEBUG:
        make_development_login()
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's alone has one

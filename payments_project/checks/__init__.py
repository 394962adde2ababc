"""Refuse to start with settings that are not safe in production. Each refusal says what to set instead."""

from operator import attrgetter

from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from payments_project.checks import network, postgresql, secrets, stripe  # noqa: F401 they register their checks


def refuse_bad_settings() -> None:
    """Raise ImproperlyConfigured with a line for each setting that is refused."""
    errors = [message for message in run_checks(tags=["service"]) if message.is_serious()]
    if errors:
        raise ImproperlyConfigured(
            "\n".join(f"{error.msg} {error.hint}" for error in sorted(errors, key=attrgetter("id")))
        )

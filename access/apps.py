"""Configuration of the app."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """The app's name and how the admin calls it."""

    name = "access"
    verbose_name = "Access"

    def ready(self) -> None:
        """Listen to logins."""
        from access.staff import logins, sessions  # noqa: F401, PLC0415 they need loaded apps

"""Register the project with Django as an app: it has checks and commands."""

from django.apps import AppConfig


class PaymentsProjectConfig(AppConfig):
    """The app of the project."""

    name = "payments_project"

    def ready(self) -> None:
        """Register the start checks."""
        from payments_project import checks  # noqa: F401, PLC0415 they need loaded apps

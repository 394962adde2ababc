from django.apps import AppConfig


class PaymentsProjectConfig(AppConfig):
    name = "payments_project"

    def ready(self) -> None:
        from payments_project import checks  # noqa: F401, PLC0415 registers the checks; the registry has to be loaded first

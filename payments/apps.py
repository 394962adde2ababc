"""The app, as Django installs it."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    """Payments, their events and their admin."""

    name = "payments"

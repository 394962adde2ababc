"""The sandbox as a Django app."""

from django.apps import AppConfig


class SandboxConfig(AppConfig):
    """The app. Its tables keep the prefix `sandbox`."""

    name = "stripe_sandbox"
    label = "sandbox"
    verbose_name = "Stripe sandbox"

from django.apps import AppConfig


class SandboxConfig(AppConfig):
    name = "stripe_sandbox"
    label = "sandbox"
    verbose_name = "Stripe sandbox"

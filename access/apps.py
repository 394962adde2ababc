"""Configuration of the app."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """The app's name and how the admin calls it."""

    name = "access"
    verbose_name = "Access"

"""Register the app with Django."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """The app of feeds and sockets."""

    name = "notifications"

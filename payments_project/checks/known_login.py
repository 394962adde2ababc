"""Refuse to start in production while a login has the password of development."""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from access.staff import known_login
from database.errors import describe

logger = logging.getLogger(__name__)


@cache  # `serve` asks, and so does the application that it imports then
def refuse_known_login() -> None:
    """Raise ImproperlyConfigured if the login of development has the password that everybody knows, without DEBUG.

    A database that is away does not keep the service from starting. `access.staff.logins` refuses the password too.
    """
    if settings.DEBUG:
        return
    # In a thread: a server may import the application while its event loop runs, where Django refuses to ask.
    with ThreadPoolExecutor(1) as thread:
        try:
            is_there = thread.submit(known_login.is_there).result()
        except DatabaseError as error:
            logger.warning(
                "Nobody could look whether the user %s has the password of development: %s",
                known_login.NAME,
                describe(error),
            )
            return
    if is_there:
        raise ImproperlyConfigured(
            f"The user {known_login.NAME} has the password of development, which everybody knows: "
            f"run `manage.py changepassword {known_login.NAME}` first."
        )

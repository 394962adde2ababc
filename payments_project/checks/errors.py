"""Make the errors of the start checks."""

from django.core.checks import Error


def error(number: int, message: str, hint: str) -> Error:
    """Return the error `service.E…` with this number. `hint` says what to set instead."""
    return Error(message, hint=hint, id=f"service.E{number:03}")

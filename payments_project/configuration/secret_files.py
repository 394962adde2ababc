"""Read secrets from files, as Docker, Kubernetes and systemd hand them over: NAME_FILE names the file of NAME.

Unlike the environment, a file is not inherited by other programs and not shown by `docker inspect` or /proc.
"""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from dotenv import dotenv_values

SECRETS = (
    "SECRET_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "API_KEYS",
    "NOTIFICATIONS_TOKEN_SECRET",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRETS",
)
"""Settings that are secrets, or hold a password."""
MAX_BYTES = 64 * 1024


def secrets_in_files(env_file: str | Path | None) -> dict[str, str]:
    """Return the settings that are given by files. The environment wins over the file of settings.

    Raises ImproperlyConfigured, with a line that names the setting and never shows what is in the file.
    """
    layers = (dict(os.environ), dotenv_values(env_file) if env_file else {})
    found: dict[str, str] = {}
    for name in SECRETS:
        for layer in layers:
            path = layer.get(f"{name}_FILE")
            if path and layer.get(name):
                raise ImproperlyConfigured(f"{name} and {name}_FILE are both set. Unset one of them.")
            if path:
                found[name] = _read(path, name=f"{name}_FILE")
            if path or layer.get(name):
                break
    return found


def _read(path: str, *, name: str) -> str:
    """Return the one line of a file, without the end of the line."""
    try:
        with Path(path).open("rb") as file:
            # A byte more than is allowed, so that a longer file shows itself. The file may be a device without an end.
            text = file.read(MAX_BYTES + 1).decode()
    except OSError as error:
        raise ImproperlyConfigured(f"{name} names a file that cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"{name} names a file that is no text in UTF-8.") from None
    secret = text.rstrip("\r\n")
    if not secret.strip():
        raise ImproperlyConfigured(f"{name} names an empty file. Write the secret into it.")
    if len(text) > MAX_BYTES or not secret.isprintable():
        raise ImproperlyConfigured(
            f"{name} names a file of more than one line. Write the secret alone into it."
        )
    return secret

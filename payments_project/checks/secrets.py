"""Refuse to start with secrets that can be guessed, and with registrations that are open to anyone."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, register

from notifications.auth import token_keys
from payments_project.checks.errors import error
from payments_project.checks.network import redis_options
from payments_project.checks.weak_keys import is_weak
from payments_project.configuration.environment import DEVELOPMENT_SECRET_KEY

SECRET_KEY_MIN_LENGTH = 50
API_KEY_MIN_LENGTH = 20
TOKEN_SECRET_MIN_LENGTH = 32
"""Characters. RFC 7518, section 3.2, requires a key no shorter than the hash."""
NEW_BYTES_MIN = 22
API_KEY_NEW_BYTES_MIN = 14
"""See weak_keys."""


@register("service")
def check_secrets(**_: Any) -> Iterable[CheckMessage]:
    """Refuse development keys and weak keys in production, and one value for several secrets."""
    if not settings.DEBUG and _is_bad_secret(settings.SECRET_KEY, length=SECRET_KEY_MIN_LENGTH):
        yield error(
            1,
            "SECRET_KEY is the development key, short, or easily guessed.",
            f"Set SECRET_KEY to {SECRET_KEY_MIN_LENGTH} or more random characters.",
        )
    if not settings.DEBUG and any(
        len(key) < API_KEY_MIN_LENGTH or is_weak(key, at_least=API_KEY_NEW_BYTES_MIN)
        for key in settings.API_KEYS
    ):
        yield error(
            2,
            "API_KEYS holds the development key, or one that is short or easily guessed.",
            f"Set API_KEYS to a key of {API_KEY_MIN_LENGTH} or more random characters, or unset it and make keys with "
            "`manage.py api_key create`.",
        )
    if len(set(settings.API_KEYS)) < len(settings.API_KEYS):
        yield error(
            3,
            "API_KEYS holds one key twice, so that it has two names.",
            "Set API_KEYS to a key of its own for each caller.",
        )
    if not settings.DEBUG and (names := _names_of_shared_values()):
        yield error(
            25,
            f"{' and '.join(names)} have the same value, so that the holder of one has the others.",
            "Set each to a random value of its own.",
        )


def _is_bad_secret(secret: str, *, length: int) -> bool:
    return secret == DEVELOPMENT_SECRET_KEY or len(secret) < length or is_weak(secret, at_least=NEW_BYTES_MIN)


def _names_of_shared_values() -> list[str]:
    """Return the names of the settings that share a secret, or a password in an address, with another setting."""
    database = settings.DATABASES["default"]
    secrets: dict[str, list[str]] = {
        "SECRET_KEY": [settings.SECRET_KEY],
        "API_KEYS": settings.API_KEYS,
        "NOTIFICATIONS_TOKEN_SECRET": [settings.NOTIFICATIONS_TOKEN_SECRET],
        "STRIPE_SECRET_KEY": [settings.STRIPE_CONFIGURED_KEY],
        "STRIPE_WEBHOOK_SECRETS": [
            secret.removeprefix(prefix)
            for secret in settings.STRIPE_WEBHOOK_SECRETS
            for prefix in ("", "whsec_")
        ],
        "DATABASE_URL": [database.get("PASSWORD") or str(database.get("OPTIONS", {}).get("password", ""))],
        "REDIS_URL": [str(redis_options(settings.REDIS_URL).get("password") or "")],
    }
    uses = Counter(value for values in secrets.values() for value in {*values} if value)
    return [name for name, values in secrets.items() if any(uses[value] > 1 for value in values)]


@register("service")
def check_registration(**_: Any) -> Iterable[CheckMessage]:
    """Refuse open registration in production, and tokens without a key or with a weak secret."""
    secret = settings.NOTIFICATIONS_TOKEN_SECRET
    if settings.NOTIFICATIONS_AUTH == "open" and not settings.DEBUG:
        yield error(
            4,
            "NOTIFICATIONS_AUTH is open, so that any client gets any user's Checkout links.",
            "Set NOTIFICATIONS_AUTH=token and NOTIFICATIONS_TOKEN_SECRET, or NOTIFICATIONS_AUTH=session.",
        )
    is_wanted = settings.NOTIFICATIONS_AUTH == "token"
    # A short secret is refused with DEBUG too: PyJWT would refuse each token that is verified with it.
    is_bad = secret and (
        len(secret) < TOKEN_SECRET_MIN_LENGTH
        or (not settings.DEBUG and _is_bad_secret(secret, length=TOKEN_SECRET_MIN_LENGTH))
    )
    if is_bad or (is_wanted and not _token_keys()):
        yield error(
            5,
            "NOTIFICATIONS_AUTH is token, and NOTIFICATIONS_TOKEN_SECRET is missing, short, or easily guessed."
            if is_wanted
            else "NOTIFICATIONS_TOKEN_SECRET is short, or easily guessed.",
            f"Set NOTIFICATIONS_TOKEN_SECRET to {TOKEN_SECRET_MIN_LENGTH} or more random characters.",
        )


@register("service")
def check_token_keys(**_: Any) -> Iterable[CheckMessage]:
    """Refuse several sources of keys, keys that do not fit the algorithm, and a key set that anyone could replace."""
    sources, algorithm = _token_keys(), settings.NOTIFICATIONS_TOKEN_ALGORITHM
    if len(sources) > 1:
        yield error(
            20, f"{' and '.join(sources)} are set, and tokens have one source of keys.", "Unset all but one."
        )
        return
    if sources and (sources == ["NOTIFICATIONS_TOKEN_SECRET"]) != (algorithm == "HS256"):
        yield error(
            21,
            f"NOTIFICATIONS_TOKEN_ALGORITHM is {algorithm}, which does not go with {sources[0]}.",
            "Set it to HS256 for a secret, and to the algorithm of your issuer, such as RS256, for public keys.",
        )
    elif path := settings.NOTIFICATIONS_TOKEN_KEY_FILE:
        try:
            token_keys.read_key_file(path, algorithm=algorithm)
        except token_keys.KeyFileError as problem:
            yield error(
                22,
                f"NOTIFICATIONS_TOKEN_KEY_FILE {problem}.",
                f"Set it to the file of a public key for {algorithm}, in PEM.",
            )
    if settings.NOTIFICATIONS_TOKEN_JWKS_URL.startswith("http://") and not settings.DEBUG:
        yield error(
            23,
            "NOTIFICATIONS_TOKEN_JWKS_URL is read in clear text, so that others can put their keys in.",
            "Set it to an address that begins with https://.",
        )


def _token_keys() -> list[str]:
    """Return the names of the settings that say where the tokens' keys are."""
    names = ("NOTIFICATIONS_TOKEN_SECRET", "NOTIFICATIONS_TOKEN_KEY_FILE", "NOTIFICATIONS_TOKEN_JWKS_URL")
    return [name for name in names if getattr(settings, name)]

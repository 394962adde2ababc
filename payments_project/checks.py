"""Refuse to start with settings that are not safe in production. Each refusal says what to set instead."""

import re
from collections import Counter
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, register, run_checks
from django.core.exceptions import ImproperlyConfigured

from notifications.auth import token_keys
from payments.stripe import gateway
from payments_project import network_checks  # noqa: F401 it registers its checks
from payments_project.check_errors import error as _error
from payments_project.environment import DEVELOPMENT_SECRET_KEY
from payments_project.weak_keys import is_weak

_KEY = re.compile(r"(sk|rk)_[A-Za-z0-9_]{8,}")
_ORGANISATION_KEY = re.compile(r"(sk|rk)_org_")
"""Source: https://docs.stripe.com/keys/organization-api-keys"""
_SIGNING_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=_-]{8,}")
SECRET_KEY_MIN_LENGTH = 50
API_KEY_MIN_LENGTH = 20
TOKEN_SECRET_MIN_LENGTH = 32
"""Characters. RFC 7518, section 3.2, requires a key no shorter than the hash."""
NEW_BYTES_MIN = 22
API_KEY_NEW_BYTES_MIN = 14
"""See weak_keys."""


def refuse_bad_settings() -> None:
    """Raise ImproperlyConfigured with a line for each setting that is refused."""
    errors = [message for message in run_checks(tags=["service"]) if message.is_serious()]
    if errors:
        raise ImproperlyConfigured(
            "\n".join(f"{error.msg} {error.hint}" for error in sorted(errors, key=attrgetter("id")))
        )


@register("service")
def check_secrets(**_: Any) -> Iterable[CheckMessage]:
    """Refuse development keys and weak keys in production, and one value for several secrets."""
    if not settings.DEBUG and _is_bad_secret(settings.SECRET_KEY, length=SECRET_KEY_MIN_LENGTH):
        yield _error(
            1,
            "SECRET_KEY is the development key, short, or easily guessed.",
            f"Set SECRET_KEY to {SECRET_KEY_MIN_LENGTH} or more random characters.",
        )
    if not settings.DEBUG and any(
        len(key) < API_KEY_MIN_LENGTH or is_weak(key, at_least=API_KEY_NEW_BYTES_MIN)
        for key in settings.API_KEYS
    ):
        yield _error(
            2,
            "API_KEYS holds the development key, or one that is short or easily guessed.",
            f"Set API_KEYS to a key of {API_KEY_MIN_LENGTH} or more random characters, or unset it and make keys with "
            "`manage.py api_key create`.",
        )
    if len(set(settings.API_KEYS)) < len(settings.API_KEYS):
        yield _error(
            3,
            "API_KEYS holds one key twice, so that it has two names.",
            "Set API_KEYS to a key of its own for each caller.",
        )
    if not settings.DEBUG and (names := _names_of_shared_values()):
        yield _error(
            25,
            f"{' and '.join(names)} have the same value, so that the holder of one has the others.",
            "Set each to a random value of its own.",
        )


def _is_bad_secret(secret: str, *, length: int) -> bool:
    return secret == DEVELOPMENT_SECRET_KEY or len(secret) < length or is_weak(secret, at_least=NEW_BYTES_MIN)


def _names_of_shared_values() -> list[str]:
    """Return the names of the settings that share a secret with another setting."""
    secrets = {
        "SECRET_KEY": [settings.SECRET_KEY],
        "API_KEYS": settings.API_KEYS,
        "NOTIFICATIONS_TOKEN_SECRET": [settings.NOTIFICATIONS_TOKEN_SECRET],
        "STRIPE_SECRET_KEY": [settings.STRIPE_CONFIGURED_KEY],
        "STRIPE_WEBHOOK_SECRETS": settings.STRIPE_WEBHOOK_SECRETS,
    }
    uses = Counter(value for values in secrets.values() for value in {*values} if value)
    return [name for name, values in secrets.items() if any(uses[value] > 1 for value in values)]


@register("service")
def check_registration(**_: Any) -> Iterable[CheckMessage]:
    """Refuse open registration in production, and tokens without a key or with a weak secret."""
    secret = settings.NOTIFICATIONS_TOKEN_SECRET
    if settings.NOTIFICATIONS_AUTH == "open" and not settings.DEBUG:
        yield _error(
            4,
            "NOTIFICATIONS_AUTH is open, so that any client gets any user's Checkout links.",
            "Set NOTIFICATIONS_AUTH=token and NOTIFICATIONS_TOKEN_SECRET, or NOTIFICATIONS_AUTH=session.",
        )
    is_wanted = settings.NOTIFICATIONS_AUTH == "token"
    is_bad = secret and (
        len(secret) < TOKEN_SECRET_MIN_LENGTH
        or (not settings.DEBUG and _is_bad_secret(secret, length=TOKEN_SECRET_MIN_LENGTH))
    )
    if is_bad or (is_wanted and not _token_keys()):
        yield _error(
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
        yield _error(
            20, f"{' and '.join(sources)} are set, and tokens have one source of keys.", "Unset all but one."
        )
        return
    if sources and (sources == ["NOTIFICATIONS_TOKEN_SECRET"]) != (algorithm == "HS256"):
        yield _error(
            21,
            f"NOTIFICATIONS_TOKEN_ALGORITHM is {algorithm}, which does not go with {sources[0]}.",
            "Set it to HS256 for a secret, and to the algorithm of your issuer, such as RS256, for public keys.",
        )
    elif path := settings.NOTIFICATIONS_TOKEN_KEY_FILE:
        try:
            token_keys.read_key_file(path, algorithm=algorithm)
        except token_keys.KeyFileError as error:
            yield _error(
                22,
                f"NOTIFICATIONS_TOKEN_KEY_FILE {error}.",
                f"Set it to the file of a public key for {algorithm}, in PEM.",
            )
    if settings.NOTIFICATIONS_TOKEN_JWKS_URL.startswith("http://") and not settings.DEBUG:
        yield _error(
            23,
            "NOTIFICATIONS_TOKEN_JWKS_URL is read in clear text, so that others can put their keys in.",
            "Set it to an address that begins with https://.",
        )


def _token_keys() -> list[str]:
    """Return the names of the settings that say where the tokens' keys are."""
    names = ("NOTIFICATIONS_TOKEN_SECRET", "NOTIFICATIONS_TOKEN_KEY_FILE", "NOTIFICATIONS_TOKEN_JWKS_URL")
    return [name for name in names if getattr(settings, name)]


@register("service")
def check_processes(**_: Any) -> Iterable[CheckMessage]:
    """Refuse several processes without a channel layer that connects them."""
    if not settings.DEBUG and settings.WORKERS > 1 and not settings.REDIS_URL:
        yield _error(
            6,
            f"WORKERS is {settings.WORKERS}, and the channel layer in memory reaches one process only.",
            "Set REDIS_URL to a Redis or Valkey server, or WORKERS=1.",
        )


@register("service")
def check_stripe(**_: Any) -> Iterable[CheckMessage]:
    """Refuse an incomplete configuration of Stripe, and the sandbox beside a key."""
    key = settings.STRIPE_CONFIGURED_KEY
    if settings.STRIPE_SANDBOX:
        if key:
            yield _error(
                7,
                "STRIPE_SANDBOX is on and STRIPE_SECRET_KEY is set.",
                "Unset STRIPE_SANDBOX to use Stripe, or STRIPE_SECRET_KEY to use the sandbox.",
            )
        return
    if not key:
        yield _error(
            8,
            "STRIPE_SECRET_KEY is empty, so that nothing can be paid.",
            "Set STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRETS, or STRIPE_SANDBOX=1 to try without Stripe.",
        )
    elif not _KEY.fullmatch(key):
        yield _error(9, "STRIPE_SECRET_KEY is no secret key.", "Set it to a key that begins with sk_ or rk_.")
    if key and not all(
        _SIGNING_SECRET.fullmatch(secret) for secret in settings.STRIPE_WEBHOOK_SECRETS or [""]
    ):
        yield _error(
            10,
            "STRIPE_WEBHOOK_SECRETS is missing, or holds something else, so that no event can be verified.",
            "Set it to the signing secret of the webhook endpoint, which begins with whsec_.",
        )
    if _ORGANISATION_KEY.match(key):
        yield _error(
            13,
            "STRIPE_SECRET_KEY is an organisation's key, which needs a Stripe-Context with every request.",
            "Set it to a key of one account, which begins with sk_live_, rk_live_, sk_test_ or rk_test_.",
        )
    is_live = gateway.is_live(key)
    if is_live and settings.DEBUG:
        yield _error(
            12,
            "STRIPE_SECRET_KEY is a live key and DEBUG is on, with development's keys and doors.",
            "Unset DEBUG, also in .env.",
        )
    if settings.STRIPE_API_BASE and is_live:
        yield _error(
            11,
            "STRIPE_API_BASE is set beside a live key, so that real payments would go elsewhere.",
            "Unset STRIPE_API_BASE.",
        )

"""Refuse to start with an incomplete or dangerous configuration of Stripe."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, register

from payments.stripe import gateway
from payments_project.checks.errors import error
from payments_project.checks.weak_keys import is_weak

_KEY = re.compile(r"(sk|rk)_[A-Za-z0-9_]{8,}")
_ORGANISATION_KEY = re.compile(r"(sk|rk)_org_")
"""Source: https://docs.stripe.com/keys/organization-api-keys"""
SIGNING_SECRET_NEW_BYTES_MIN = 14
"""See weak_keys. Stripe's have 32 letters and digits, and more."""
_SIGNING_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=_-]{8,}")


@register("service")
def check_stripe(**_: Any) -> Iterable[CheckMessage]:
    """Refuse an incomplete configuration of Stripe, and the sandbox beside a key."""
    key = settings.STRIPE_CONFIGURED_KEY
    if settings.STRIPE_SANDBOX:
        if key:
            yield error(
                7,
                "STRIPE_SANDBOX is on and STRIPE_SECRET_KEY is set.",
                "Unset STRIPE_SANDBOX to use Stripe, or STRIPE_SECRET_KEY to use the sandbox.",
            )
        return
    yield from _unusable(key)
    if gateway.is_live(key):
        yield from _dangerous()


def _unusable(key: str) -> Iterator[CheckMessage]:
    """Refuse keys that cannot make payments, and secrets that cannot verify events."""
    if not key:
        yield error(
            8,
            "STRIPE_SECRET_KEY is empty, so that nothing can be paid.",
            "Set STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRETS, or STRIPE_SANDBOX=1 to try without Stripe.",
        )
    elif not _KEY.fullmatch(key):
        yield error(
            9,
            "STRIPE_SECRET_KEY is no whole secret key.",
            "Set it to a key of Stripe's dashboard that begins with sk_ or rk_.",
        )
    # Without any secret no event can be verified either, so an empty list counts as one that is wrong.
    secrets = settings.STRIPE_WEBHOOK_SECRETS
    if key and not all(_SIGNING_SECRET.fullmatch(secret) for secret in secrets or [""]):
        yield error(
            10,
            "STRIPE_WEBHOOK_SECRETS is missing, or holds something else, so that no event can be verified.",
            "Set it to the signing secret of the webhook endpoint, which begins with whsec_.",
        )
    elif gateway.is_live(key) and any(
        is_weak(secret.removeprefix("whsec_"), at_least=SIGNING_SECRET_NEW_BYTES_MIN) for secret in secrets
    ):
        yield error(
            26,
            "STRIPE_WEBHOOK_SECRETS holds a secret that is easily guessed, so that anyone could say that a ride is paid.",
            "Set it to the signing secret that Stripe made for the webhook endpoint.",
        )
    if _ORGANISATION_KEY.match(key):
        yield error(
            13,
            "STRIPE_SECRET_KEY is an organisation's key, which needs a Stripe-Context with every request.",
            "Set it to a key of one account, which begins with sk_live_, rk_live_, sk_test_ or rk_test_.",
        )


def _dangerous() -> Iterator[CheckMessage]:
    """Refuse a live key beside what is for development alone."""
    if settings.DEBUG:
        yield error(
            12,
            "STRIPE_SECRET_KEY is a live key and DEBUG is on, with development's keys and doors.",
            "Unset DEBUG, also in .env.",
        )
    if settings.STRIPE_API_BASE:
        yield error(
            11,
            "STRIPE_API_BASE is set beside a live key, so that real payments would go elsewhere.",
            "Unset STRIPE_API_BASE.",
        )

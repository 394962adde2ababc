"""Check a request's headers: API key, version, account."""

import base64
import binascii
import hmac
import re
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest

from stripe_sandbox.api.parameters import API_VERSION
from stripe_sandbox.errors import ApiError

_TEST_KEY = re.compile(r"(sk|rk)_test_[A-Za-z0-9_]{1,250}")
_FOREIGN = ("Stripe-Account", "Stripe-Context")
_SHOWN = 100


def authenticate(request: HttpRequest) -> None:
    """Check the secret key, sent as a bearer token or as the user name of basic authentication.

    With DEBUG, accept any test key, so that other clients can use the sandbox. Never accept a live key.
    """
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    key = credentials.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if scheme.lower() not in {"basic", "bearer"} or not key:
        raise ApiError(
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            status=HTTPStatus.UNAUTHORIZED,
        )
    # Refused before it is compared: a live key in this place is a mistake in the set-up of the client.
    if re.match(r"(sk|rk)_live_", key):
        raise ApiError(
            "The sandbox takes no live key: send a test key (sk_test_… or rk_test_…).",
            status=HTTPStatus.UNAUTHORIZED,
        )
    if settings.DEBUG and _TEST_KEY.fullmatch(key):
        return
    # In constant time, so that how long it takes says nothing of the key.
    if not hmac.compare_digest(key.encode(), settings.STRIPE_SECRET_KEY.encode()):
        raise ApiError(f"Invalid API Key provided: {_masked(key)}", status=HTTPStatus.UNAUTHORIZED)


def check_headers(request: HttpRequest) -> None:
    """Refuse another API version, and any account but the sandbox's only one.

    Source: https://docs.stripe.com/api/versioning and https://docs.stripe.com/connect/authentication.
    """
    version = request.headers.get("Stripe-Version", "").strip()
    if version and version != API_VERSION:
        raise ApiError(
            f"Invalid Stripe API version: {version[:_SHOWN]}. The sandbox answers in version {API_VERSION} alone: "
            "send that as Stripe-Version, or leave the header out."
        )
    for name in _FOREIGN:
        if account := request.headers.get(name, "").strip():
            raise ApiError(
                f"The provided key does not have access to account '{account[:_SHOWN]}' (or that account does "
                f"not exist). The sandbox has one account: leave {name} out.",
                status=HTTPStatus.FORBIDDEN,
                code="account_invalid",
            )


def _masked(key: str) -> str:
    return f"{key[:8]}****{key[-4:]}"

"""Check what Stripe's published description does not say: lengths, ranges, and what the sandbox does not support."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from payments.stripe import currencies
from stripe_sandbox.errors import ApiError, missing
from stripe_sandbox.timing import CLOCK_DIFFERENCE, LONGEST_SESSION, SHORTEST_SESSION

MAX_METADATA_KEYS, MAX_METADATA_KEY, MAX_METADATA_VALUE = 50, 40, 500
"""Source: https://docs.stripe.com/metadata."""
MAX_URL = 5000
MAX_EMAIL = 800
MAX_SUFFIX = 22
_NOT_ON_STATEMENTS = frozenset("<>\\'\"*")

Tree = Mapping[str, "Tree | None"]
"""Names of parameters, each with its own inner names. None: the parameter and everything in it."""


def check_supported(params: Mapping[str, Any], supported: Tree, path: str = "") -> None:
    """Refuse parameters that Stripe has and the sandbox does not, rather than ignore them."""
    for name, value in params.items():
        where = f"{path}[{name}]" if path else name
        if name not in supported:
            raise ApiError(f"The sandbox does not support the parameter {where}.", param=where)
        inner = supported[name]
        if inner is None:
            continue
        # An array names its items by their places: the error has to say which of them is meant.
        for index, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
            check_supported(item, inner, where if index is None else f"{where}[{index}]")


def check_length(value: str | None, longest: int, param: str) -> None:
    """Refuse text of more than `longest` characters."""
    if value is not None and len(value) > longest:
        raise ApiError(
            f"Invalid string: {value[:10]}...{value[-7:]}; must be at most {longest} characters", param=param
        )


def check_metadata(metadata: Mapping[str, str] | None, param: str = "metadata") -> None:
    """Refuse metadata with too many keys, or with keys or values that are too long."""
    if not metadata:
        return
    if len(metadata) > MAX_METADATA_KEYS:
        raise ApiError(f"Metadata can have up to {MAX_METADATA_KEYS} keys.", param=param)
    for key, value in metadata.items():
        if len(key) > MAX_METADATA_KEY:
            raise ApiError(
                f"Metadata keys can have up to {MAX_METADATA_KEY} characters, but you passed in a key that is "
                f"{len(key)} characters. Invalid key: {key[:MAX_METADATA_KEY]}...",
                param=param,
            )
        if len(value) > MAX_METADATA_VALUE:
            raise ApiError(
                f"Metadata values can have up to {MAX_METADATA_VALUE} characters, but you passed in a value "
                f"that is {len(value)} characters.",
                param=f"{param}[{key}]",
            )


def check_integer(value: int, param: str, *, least: int, most: int | None = None) -> None:
    """Refuse a number that is less than `least` or more than `most`."""
    if value < least:
        raise ApiError(
            f"This value must be greater than or equal to {least}.",
            code="parameter_invalid_integer",
            param=param,
        )
    if most is not None and value > most:
        raise ApiError(
            f"This value must be less than or equal to {most}.", code="parameter_invalid_integer", param=param
        )


def check_currency(currency: str, param: str) -> str:
    """Return the currency in lower case, as Stripe does."""
    if currency.lower() not in currencies.SUPPORTED:
        known = ", ".join(sorted(currencies.SUPPORTED))
        raise ApiError(
            f"Invalid currency: {currency[:20]}. Stripe currently supports these currencies: {known}",
            param=param,
        )
    return currency.lower()


def check_amount(amount: int, currency: str) -> None:
    """Refuse a total that is too large for a charge."""
    most = currencies.largest(currency)
    if amount > most:
        raise ApiError(
            f"The Checkout Session's total amount must be no more than {most} in the currency's minor unit.",
            code="amount_too_large",
        )


def check_url(url: str | None, param: str, *, required: bool = False) -> None:
    """Refuse text that is not a full web address."""
    if url is None:
        if required:
            raise missing(param)
        return
    check_length(url, MAX_URL, param)
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        valid = False
    # `urlsplit` drops tabs and line ends instead of refusing them.
    if not valid or any(character.isspace() for character in url):
        raise ApiError("Not a valid URL", code="url_invalid", param=param)


def check_email(email: str | None, param: str) -> None:
    """Refuse text that is not an email address, with Stripe's code."""
    if email is None:
        return
    check_length(email, MAX_EMAIL, param)
    try:
        validate_email(email)
    except ValidationError:
        raise ApiError(f"Invalid email address: {email}", code="email_invalid", param=param) from None


def check_suffix(suffix: str | None, param: str) -> None:
    """Refuse text that cannot be on a bank statement.

    Source: https://docs.stripe.com/get-started/account/statement-descriptors#requirements.
    """
    check_length(suffix, MAX_SUFFIX, param)
    if suffix is None:
        return
    if forbidden := sorted(set(suffix) & _NOT_ON_STATEMENTS):
        raise ApiError(
            f"The statement descriptor suffix cannot contain {' '.join(forbidden)}: leave it out.",
            param=param,
        )
    if not suffix.isascii() or not suffix.isprintable() or not any(each.isalpha() for each in suffix):
        raise ApiError(
            "The statement descriptor suffix must be of Latin characters, with one letter at least.",
            param=param,
        )


def check_expiry(expires_at: datetime, now: datetime) -> None:
    """Refuse a session that ends too soon or too late."""
    if expires_at < now + SHORTEST_SESSION - CLOCK_DIFFERENCE:
        raise ApiError(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
            param="expires_at",
        )
    if expires_at > now + LONGEST_SESSION + CLOCK_DIFFERENCE:
        raise ApiError(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            param="expires_at",
        )

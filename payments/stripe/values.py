"""Read single values of Stripe's objects, each bounded to what can be stored.

What is not as Stripe describes it raises KeyError, TypeError, ValueError or AttributeError.
"""

import re
import uuid
from collections.abc import Container, Mapping
from typing import Any

from payments.facts import Facts, money

LARGEST_READ = 10**15
"""Minor units. Stripe's largest amount has twelve digits.

Source: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
"""
REMOVED = "(removed)"
"""Stands in a stored body for a text that was removed, so that it differs from one that was never there."""
IMPOSSIBLE = "impossible"
"""Takes the place of the state of what names an impossible sum: no table has it."""

_ID = re.compile(r"[!-~]{1,255}")
_LINK = re.compile(r"https?://[!-~]+")

Object = Mapping[str, Any]
"""An object of Stripe's, as JSON has it."""


class ImpossibleSumError(Exception):
    """A sum that no payment has."""


def is_text(value: Any) -> bool:
    """Return whether a value is a text."""
    return isinstance(value, str)


def is_id(value: Any) -> bool:
    """Return whether a value is an id, which is stored as it is: visible ASCII, 255 characters at most."""
    return isinstance(value, str) and bool(_ID.fullmatch(value))


def is_link(value: Any) -> bool:
    """Return whether a value is the address of a page, or none."""
    return value is None or (isinstance(value, str) and bool(_LINK.fullmatch(value)))


def uuid_of(text: Any) -> uuid.UUID | None:
    """Return the UUID that a text is; None for anything else."""
    try:
        # Anything may stand in metadata. What is no UUID names no payment of ours.
        return uuid.UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def id_of(value: Any) -> str | None:
    """Return the id of an object that may have been expanded."""
    found = value["id"] if isinstance(value, Mapping) else value
    return text(found, most=255) if isinstance(found, str) else None


def own_id(obj: Object) -> str:
    """Return the object's own id."""
    return text(obj["id"], most=255)


def minor_units(value: Any) -> int:
    """Return an amount in minor units. Raises ImpossibleSumError above LARGEST_READ."""
    # To Python, True is an integer.
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r:.60} is no amount in minor units")
    if value > LARGEST_READ:
        raise ImpossibleSumError(f"It names a sum of {len(str(value))} digits, which no payment has.")
    return value


def signed_units(value: Any) -> int:
    """Return an amount that may be negative."""
    return -minor_units(-value) if isinstance(value, int) and value < 0 else minor_units(value)


def money_of(amount: Any, currency: Any) -> str:
    """Return a sum as facts write it."""
    # Facts write a sum as two words, so that no white space may come in.
    if not isinstance(currency, str) or not (currency.isascii() and currency.isalpha()):
        raise ValueError(f"{currency!r:.60} is no currency")
    return money(minor_units(amount), currency[:10])


def amount_of(obj: Object, name: str, at: int) -> tuple[int, Facts]:
    """Return an amount, and the fact that it is unknown where it is impossible: then all there is may be meant."""
    try:
        return minor_units(obj["amount"]), {}
    except ImpossibleSumError:
        return LARGEST_READ, {"unknown": {f"{name}.amount": at}}


def text(value: Any, *, most: int = 100) -> str:
    """Return a text as it can be stored: bounded, and without NUL."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is no text")
    return value[:most].replace("\0", "")


def shown(value: Any, *, most: int = 100) -> str:
    """Return a text that is only shown; what is no text, or was removed before it was stored, says nothing."""
    return text(value, most=most) if isinstance(value, str) and value != REMOVED else ""


def find(obj: Any, *path: str) -> Any:
    """Return the value at a path in an object; None where there is none."""
    for name in path:
        obj = obj.get(name) if isinstance(obj, Mapping) else None
    return obj


def unknown(field: str, value: Any, known: Container[str], at: int) -> Facts:
    """Return the value as an unknown one, unless it is among the known ones."""
    # Cut, since the value becomes a name among the facts.
    return {} if value in known else {"unknown": {f"{field}={shown(value, most=40)}": at}}


def seconds(value: Any) -> int:
    """Return a time (seconds since 1970, UTC); 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 else 0

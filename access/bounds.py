"""The limits by name, with their defaults. The setting LIMITS changes them."""

from typing import NamedTuple


class Bound(NamedTuple):
    """A client may do `amount` in `seconds`. With 0 seconds it may have `amount` at the same time."""

    amount: int
    seconds: int = 0


BOUNDS = {
    "connections-per-address": Bound(1000),
    "connections-per-user": Bound(50),
    "registrations-per-address": Bound(6000, 60),
    "failures-per-address": Bound(100, 60),
    "replays-per-user": Bound(60, 60),
    "calls-per-key": Bound(60_000, 60),
    "calls-per-user": Bound(300, 60),
    "logins-per-address": Bound(10, 60),
    "logins-per-name": Bound(10, 600),
}
"""They leave room for an office or a mobile network behind one address, and for many tabs and devices of a user."""
AMOUNT_MAX = 1_000_000_000


def read(items: list[str]) -> dict[str, int]:
    """Return the amounts of `NAME=AMOUNT` items, and the defaults of the others. Raises ValueError."""
    given = {}
    for item in items:
        name, _, amount = (part.strip() for part in item.partition("="))
        if name not in BOUNDS:
            raise ValueError(f"{name!r} is no limit: send NAME=AMOUNT with one of {', '.join(BOUNDS)}")
        # Eleven digits are too many already. int() refuses thousands of them with a message of its own.
        if not (amount.isascii() and amount.isdecimal() and 1 <= int(amount[:11]) <= AMOUNT_MAX):
            raise ValueError(f"{name} needs a whole number from 1 to {AMOUNT_MAX}, such as {name}=500")
        given[name] = int(amount)
    return {name: bound.amount for name, bound in BOUNDS.items()} | given

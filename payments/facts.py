"""What is known of a payment, and how two pieces of knowledge become one.

Stripe sends events twice, late and in any order, and `created` has whole seconds only, so nothing here
compares times to decide which of two events counts. Every field merges by a rule that is commutative,
associative and idempotent (the earliest time, the largest number, the furthest state): merging the same facts
in any order, any number of times, gives the same result.

Source: https://docs.stripe.com/webhooks#event-ordering
"""

from collections.abc import Callable, Mapping
from typing import Any, TypedDict, cast


class Refund(TypedDict):
    amount: int
    status: str


class Facts(TypedDict, total=False):
    """Times are Stripe's (seconds since 1970, UTC); money is `"<minor units> <currency>"`."""

    asked: str
    paid: dict[str, int]
    """What was paid, and when first said so. Another sum than `asked` pays nothing: it is flagged."""
    completed_unpaid: int
    """The customer finished Checkout with a delayed method."""
    async_failed: int
    expired: int
    cancel_requested: int
    canceled: int
    attempts: dict[str, str]
    """A charge's id, and how far that attempt to pay got: `processing`, then `failed`."""
    refunds: dict[str, Refund]
    refunded_at_least: int
    """The most that a charge ever said was refunded, in minor units."""
    disputes: dict[str, str]


ATTEMPT_STATES = ("processing", "failed")
REFUND_STATES = ("pending", "requires_action", "succeeded", "failed", "canceled")
"""A refund that succeeded can still fail: the bank sends it back."""
DISPUTE_STATES = (
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
    "needs_response",
    "under_review",
    "prevented",
    "lost",
    "won",
)
"""`won` is last: a dispute that was lost can be won late."""


def _rank(states: tuple[str, ...], state: str) -> tuple[int, str]:
    """Order states; one that is not known yet comes first, by its name, and says nothing."""
    return (states.index(state) if state in states else -1, state)


def _furthest(states: tuple[str, ...]) -> Callable[[str, str], str]:
    return lambda a, b: max(a, b, key=lambda state: _rank(states, state))


def _refund(a: Refund, b: Refund) -> Refund:
    return max(a, b, key=lambda refund: (_rank(REFUND_STATES, refund["status"]), refund["amount"]))


def _each(rule: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Merge two mappings key by key."""

    def merge_mappings(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
        return a | {key: rule(a[key], value) if key in a else value for key, value in b.items()}

    return merge_mappings


_RULES: Mapping[str, Callable[[Any, Any], Any]] = {
    "asked": lambda a, _: a,
    "paid": _each(min),
    "completed_unpaid": min,
    "async_failed": min,
    "expired": min,
    "cancel_requested": min,
    "canceled": min,
    "attempts": _each(_furthest(ATTEMPT_STATES)),
    "refunds": _each(_refund),
    "refunded_at_least": max,
    "disputes": _each(_furthest(DISPUTE_STATES)),
}


def merge(known: Facts, new: Facts) -> Facts:
    """Return what both say together; neither is changed."""
    merged = dict(known)
    for name, value in new.items():
        merged[name] = _RULES[name](merged[name], value) if name in merged else value
    return cast("Facts", merged)


def money(amount: int, currency: str) -> str:
    """Return a sum as facts write it."""
    return f"{amount} {currency.lower()}"


def refunded_amount(facts: Facts) -> int:
    """Return what went back to the customer, in minor units.

    A refund can fail after its charge counted it, so the charge's own sum is only trusted for refunds of which
    nothing else is known: the most it ever said, less those that failed.
    """
    refunds = facts.get("refunds", {}).values()
    undone = sum(r["amount"] for r in refunds if r["status"] in {"failed", "canceled"})
    standing = sum(r["amount"] for r in refunds) - undone
    return max(standing, facts.get("refunded_at_least", 0) - undone)


def paid_amount(facts: Facts) -> int:
    """Return what was paid, in minor units: the sum that was asked for, or else the largest other one."""
    paid = facts.get("paid", {})
    sums = [facts["asked"]] if facts["asked"] in paid else list(paid)
    return max((int(sum_.split()[0]) for sum_ in sums), default=0)


def mismatches(facts: Facts) -> list[str]:
    """Return each sum that Stripe says was paid though another was asked for."""
    return sorted(sum_ for sum_ in facts.get("paid", {}) if sum_ != facts.get("asked"))

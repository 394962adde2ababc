"""What is known of a payment, and how two pieces of knowledge become one.

Stripe sends events twice, late and in any order. Every field merges by a rule that is commutative, associative and
idempotent (the earliest time, the largest number, the latest snapshot): merging the same facts in any order, any number
of times, gives the same result.

Of two snapshots of one object that of the later event counts. `created` has whole seconds only: within a second that with
more balance transactions counts, then the state that comes later in `states`.

Source: https://docs.stripe.com/webhooks#event-ordering
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, cast

from payments.stripe.states import DISPUTE_STAGES, REFUND_STAGES, rank

ATTEMPTS_KEPT = 20
"""A link can be tried thousands of times (https://docs.stripe.com/disputes/prevention/card-testing). The last attempts
decide what is shown."""
OBJECTS_KEPT = 10
"""Of fraud warnings, reviews, and payment intents that something was tried with."""
UNKNOWN_KEPT = 20
"""Values of Stripe's that nobody knows."""


class Refund(TypedDict):
    """The latest snapshot of a refund."""

    at: int
    amount: int
    status: str
    intent: str


class Movement(TypedDict):
    """A balance transaction of a dispute: negative where money was withdrawn."""

    amount: int
    fee: int
    currency: str
    at: int


class Dispute(TypedDict, total=False):
    """The latest snapshot of a dispute, and each of its balance transactions."""

    at: int
    intent: str
    amount: int
    currency: str
    status: str
    reason: str
    due_by: int
    case_type: str
    moved: int
    """How many balance transactions the snapshot had: the later of two has as many or more."""
    movements: dict[str, Movement]


class Failure(TypedDict):
    """Why an attempt to pay failed, in Stripe's words (https://docs.stripe.com/declines/codes)."""

    at: int
    code: str
    decline_code: str
    advice_code: str
    message: str


class Charge(TypedDict):
    """What staff and support ask about a payment that was made."""

    at: int
    intent: str
    kind: str
    """Such as `card` (https://docs.stripe.com/api/charges/object#charge_object-payment_method_details-type)."""
    brand: str
    last4: str
    wallet: str
    risk_level: str
    receipt_url: str


class Warning_(TypedDict):  # noqa: N801 the builtin has the name
    """An early fraud warning (https://docs.stripe.com/api/radar/early_fraud_warnings/object)."""

    at: int
    fraud_type: str
    actionable: bool


class Review(TypedDict):
    """A review by Radar (https://docs.stripe.com/api/radar/reviews/object)."""

    at: int
    open: bool
    reason: str


class Facts(TypedDict, total=False):
    """Times are Stripe's (seconds since 1970, UTC); money is `"<minor units> <currency>"`."""

    asked: str
    paid: dict[str, dict[str, int]]
    """By payment intent what was paid, and when first said so. Another sum than `asked` pays nothing: it is flagged."""
    nothing_due: int
    """The session was completed and there was nothing to pay."""
    completed_unpaid: dict[str, int]
    """By payment intent when the customer finished Checkout with a delayed method."""
    async_failed: int
    expired: int
    cancel_requested: int
    canceled: int
    """The payment was given up before there was a session."""
    canceled_intents: dict[str, int]
    expired_intents: dict[str, int]
    """Those that Stripe canceled because their session's time was up."""
    attempted: dict[str, int]
    """By payment intent when something was last tried with it; the last ones."""
    recovered: dict[str, dict[str, int]]
    """Of sessions that Stripe made from the expired one: `completed_unpaid`, `async_failed`, `expired`."""
    processing: dict[str, int]
    """By charge when an attempt was last said to be under way; the last ones."""
    failed: dict[str, int]
    """By charge when an attempt was last said to have failed; the last ones. `""`: no charge was named."""
    action_required: int
    """When the customer was last asked to do something: an attempt that failed before is over."""
    failure: Failure
    """Of the last attempt that failed."""
    refunds: dict[str, Refund]
    refunded_at_least: dict[str, int]
    """By payment intent the most that its charge ever said was refunded, in minor units."""
    disputes: dict[str, Dispute]
    charges: dict[str, Charge]
    warnings: dict[str, Warning_]
    reviews: dict[str, Review]
    rewritten: int
    """When something of this payment was first seen to name another in its metadata."""
    foreign_session: int
    """When a session that this service did not make was first seen to name this payment."""
    unknown: dict[str, int]
    """Values of Stripe's that no table has, such as `dispute.status=new`, and when each was first seen."""


Rule = Callable[[Any, Any], Any]


def _snapshot(value: Any) -> str:
    """Return what orders two snapshots that are otherwise alike: any order does, as long as it is one."""
    return json.dumps(value, sort_keys=True)


def _refund(a: Refund, b: Refund) -> Refund:
    return max(a, b, key=lambda r: (r["at"], rank(REFUND_STAGES, r["status"]), _snapshot(r)))


def _dispute(a: Dispute, b: Dispute) -> Dispute:
    """Balance transactions only become more. Of the rest the later snapshot counts."""
    movements = _each(_latest)(a["movements"], b["movements"])
    bare = [{**dispute, "movements": {}} for dispute in (a, b)]
    later = max(
        bare, key=lambda d: (d["at"], d["moved"], rank(DISPUTE_STAGES, str(d["status"])), _snapshot(d))
    )
    return cast("Dispute", {**later, "movements": movements})


def _latest(a: Any, b: Any) -> Any:
    return max(a, b, key=lambda snapshot: (snapshot["at"], _snapshot(snapshot)))


def _fullest(a: Any, b: Any) -> Any:
    """A stored event lacks texts that the delivered one had."""
    return {name: max(value, b[name]) for name, value in a.items()}


def _each(rule: Rule, *, most: int | None = None, when: Callable[[Any], int] = lambda at: at) -> Rule:
    """Merge two mappings key by key; keep the `most` latest entries.

    An entry never gets earlier by merging, so one that was left out cannot have been one of the latest.
    """

    def merge_mappings(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
        merged = a | {key: rule(a[key], value) if key in a else value for key, value in b.items()}
        if most is None or len(merged) <= most:
            return merged
        latest = sorted(merged.items(), key=lambda entry: (when(entry[1]), entry[0]))[-most:]
        return dict(latest)

    return merge_mappings


def _first(rule: Rule, *, most: int) -> Rule:
    """Keep the `most` entries with the smallest names: as good a choice as any, as it is always the same."""
    return lambda a, b: dict(sorted(rule(a, b).items())[:most])


_BY_TIME: Mapping[str, Any] = {"most": OBJECTS_KEPT, "when": lambda snapshot: snapshot["at"]}
_RULES: Mapping[str, Rule] = {
    "asked": lambda a, _: a,
    "paid": _each(_each(min)),
    "nothing_due": min,
    "completed_unpaid": _each(min),
    "async_failed": min,
    "expired": min,
    "cancel_requested": min,
    "canceled": min,
    "canceled_intents": _each(min),
    "expired_intents": _each(min),
    "attempted": _each(max, most=OBJECTS_KEPT),
    "recovered": _each(_each(min)),
    "processing": _each(max, most=ATTEMPTS_KEPT),
    "failed": _each(max, most=ATTEMPTS_KEPT),
    "action_required": max,
    "failure": _latest,
    "refunds": _each(_refund),
    "refunded_at_least": _each(max),
    "disputes": _each(_dispute),
    "charges": _each(_fullest),  # each is money that was paid, so that they stay few
    "warnings": _each(_latest, **_BY_TIME),
    "reviews": _each(_latest, **_BY_TIME),
    "rewritten": min,
    "foreign_session": min,
    "unknown": _first(_each(min), most=UNKNOWN_KEPT),
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


def read_money(text: str) -> tuple[int, str]:
    """Return the minor units and the currency of a sum as facts write it."""
    amount, currency = text.split()
    return int(amount), currency


def mismatches(facts: Facts) -> dict[str, list[str]]:
    """Return by payment intent each sum that Stripe says was paid though another was asked for."""
    asked = facts.get("asked", "")
    others = {intent: sorted(sums.keys() - {asked}) for intent, sums in facts.get("paid", {}).items()}
    return {intent: sums for intent, sums in others.items() if sums}

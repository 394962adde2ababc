"""Merge two pieces of knowledge of a payment into one.

Stripe sends events twice, late and in any order (https://docs.stripe.com/webhooks#event-ordering). So every field
merges by a rule that is commutative, associative and idempotent: the earliest time, the largest number, the latest
snapshot. Times have whole seconds: within one the state counts that comes later in `states`.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from payments.facts import Dispute, Facts, Refund
from payments.stripe.states import DISPUTE_STAGES, REFUND_STAGES, rank

ATTEMPTS_KEPT = 20
"""A link can be tried thousands of times (https://docs.stripe.com/disputes/prevention/card-testing). The last attempts
decide what is shown."""
OBJECTS_KEPT = 10
"""Of fraud warnings, reviews, and payment intents that something was tried with."""
UNKNOWN_KEPT = 20
"""Values of Stripe's that no table has."""

Rule = Callable[[Any, Any], Any]


def _snapshot(value: Any) -> str:
    """Return what orders two snapshots that are otherwise alike: any order does, as long as it is one."""
    return json.dumps(value, sort_keys=True)


def _refund(a: Refund, b: Refund) -> Refund:
    return max(a, b, key=lambda r: (r["at"], rank(REFUND_STAGES, r["status"]), _snapshot(r)))


def _dispute(a: Dispute, b: Dispute) -> Dispute:
    """Balance transactions only become more. Of the rest the later snapshot counts."""
    # Each balance transaction stays once it was seen, so an older snapshot can still add one.
    movements = _each(_latest)(a["movements"], b["movements"])
    bare = [{**dispute, "movements": {}} for dispute in (a, b)]
    later = max(
        bare, key=lambda d: (d["at"], d["moved"], rank(DISPUTE_STAGES, str(d["status"])), _snapshot(d))
    )
    return cast("Dispute", {**later, "movements": movements})


def _latest(a: Any, b: Any) -> Any:
    return max(a, b, key=lambda snapshot: (snapshot["at"], _snapshot(snapshot)))


def _fullest(a: Any, b: Any) -> Any:
    """Keep the fuller text of each name: a stored event lacks texts that the delivered one had."""
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
    # It is set when the payment is created, and no event says it anew.
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

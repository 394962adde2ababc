"""Time line entries of what Stripe reported. Their times are Stripe's, in whole seconds."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from payments import shown
from payments.admin.texts import joined, moment, read_movement, read_payment_method, read_sum
from payments.facts import Facts
from payments.stripe.currencies import format_amount

_TITLES = {
    "nothing_due": "Checkout was completed, and there was nothing to pay",
    "async_failed": "The delayed payment failed",
    "action_required": "The customer was asked to do something more",
    "expired": "The Checkout session expired",
    "cancel_requested": "A cancel of the payment was requested",
    "canceled": "The payment was given up before there was a session",
}
_OF_INTENTS = {
    "completed_unpaid": "Checkout was completed with a delayed payment method",
    "canceled_intents": "The payment intent was canceled",
    "expired_intents": "The payment intent was canceled, as its session's time was up",
}
_OF_RECOVERED = {
    "completed_unpaid": "A session recovered from the expired one was completed with a delayed payment method",
    "async_failed": "The delayed payment of a recovered session failed",
    "expired": "A recovered session expired",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of the time line. `at` is None if only its place in the order is known."""

    kind: str
    """`payment`, `fact`, `event`, `change` or `notification`."""
    at: datetime | None
    title: str
    detail: str = ""
    url: str = ""
    tone: str = ""


def entries(facts: Facts) -> Iterator[Entry]:
    """Yield an entry for each fact that has a time."""
    yield from _paid(facts)
    for name, title in _TITLES.items():
        if name in facts:
            yield _fact(facts[name], title)  # type: ignore[literal-required]
    for name, title in _OF_INTENTS.items():
        for intent_id, at in facts.get(name, {}).items():  # type: ignore[attr-defined]
            yield _fact(at, title, intent_id)
    for session in facts.get("recovered", {}).values():
        for name, at in session.items():
            yield _fact(at, _OF_RECOVERED[name])
    yield from _failure(facts)
    yield from _movements(facts)
    yield from _warnings_and_reviews(facts)
    yield from _unexpected(facts)


def _fact(at: int, title: str, detail: str = "", tone: str = "") -> Entry:
    return Entry(kind="fact", at=moment(at), title=title, detail=detail, tone=tone)


def _paid(facts: Facts) -> Iterator[Entry]:
    asked = facts.get("asked", "")
    for intent_id, sums in facts.get("paid", {}).items():
        charge = shown.charge(facts, intent_id=intent_id)
        method = read_payment_method(charge) if charge and charge["intent"] == intent_id else ""
        for paid, at in sums.items():
            differs = f"{read_sum(asked)} was asked for: this pays nothing" if paid != asked else ""
            detail = joined(differs, method, intent_id if len(facts["paid"]) > 1 else "")
            yield _fact(at, f"{read_sum(paid)} was paid", detail, "danger" if differs else "success")


def _failure(facts: Facts) -> Iterator[Entry]:
    if failure := facts.get("failure"):
        reason = failure["decline_code"] or failure["code"]
        code = failure["code"] if failure["code"] != reason else ""
        advice = f"advice: {failure['advice_code']}" if failure["advice_code"] else ""
        title = f"An attempt to pay failed: {reason}" if reason else "An attempt to pay failed"
        yield _fact(failure["at"], title, joined(code, advice, failure["message"]), "warning")


def _movements(facts: Facts) -> Iterator[Entry]:
    for dispute_id, dispute in facts.get("disputes", {}).items():
        for movement in dispute["movements"].values():
            title, tone = read_movement(movement)
            fee = format_amount(movement["fee"], movement["currency"]) if movement["fee"] else ""
            detail = joined(dispute_id, dispute["reason"], f"fee {fee}" if fee else "")
            yield _fact(movement["at"], f"{title} by a dispute", detail, tone)


def _warnings_and_reviews(facts: Facts) -> Iterator[Entry]:
    for warning in facts.get("warnings", {}).values():
        state = "refunding can still prevent a dispute" if warning["actionable"] else "nothing to do any more"
        title = f"Early fraud warning: {warning['fraud_type'] or 'no reason given'}"
        yield _fact(warning["at"], title, state, "danger" if warning["actionable"] else "")
    for review in facts.get("reviews", {}).values():
        title = "Stripe reviews the payment" if review["open"] else "Stripe's review is closed"
        yield _fact(review["at"], title, review["reason"], "warning" if review["open"] else "")


def _unexpected(facts: Facts) -> Iterator[Entry]:
    if "foreign_session" in facts:
        title = "A session that this service did not make named this payment"
        yield _fact(facts["foreign_session"], title, "It closes and pays nothing here.", "warning")
    for value, at in facts.get("unknown", {}).items():
        yield _fact(at, f"Stripe said {value}, which this service does not know", tone="warning")

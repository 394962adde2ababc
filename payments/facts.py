"""The facts of a payment: what is known of it, from events and from answers of Stripe's. How they merge: `merging`."""

from typing import TypedDict


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


# A name that is absent says that nothing is known of it yet. So anything can be merged with nothing.
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


def money(amount: int, currency: str) -> str:
    """Return a sum as facts write it."""
    # Sums are compared as texts, so their case must not differ.
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

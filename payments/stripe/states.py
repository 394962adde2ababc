"""Stripe's enumerations, and what each value means here.

Stripe adds values within a version of its API, so a value may come that no table has. It is never read in our favour:
see `facts.unknown`. A test compares these tables with the types of stripe-python, so that a new release is a red test.
"""

import enum
from collections.abc import Mapping

SESSION_STATES = frozenset({"open", "complete", "expired"})
"""https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-status"""
PAYMENT_STATES = frozenset({"paid", "unpaid", "no_payment_required"})
"""https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-payment_status"""
INTENT_STATES = frozenset(
    {
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
        "requires_capture",
        "processing",
        "succeeded",
        "canceled",
    }
)
"""https://docs.stripe.com/payments/paymentintents/lifecycle"""


class Stage(enum.IntEnum):
    """How far a dispute or a refund has got. Of two snapshots of one second the later stage counts."""

    INQUIRY = 0
    OPEN = 1
    PREVENTED = 2
    GONE = 3
    BACK = 4
    """The money is here again, or never went."""
    UNKNOWN = 5
    """As open as OPEN, and it may have come after any other value."""


DISPUTE_STAGES: Mapping[str, Stage] = {
    "warning_needs_response": Stage.INQUIRY,
    "warning_under_review": Stage.INQUIRY,
    "warning_closed": Stage.INQUIRY,
    "needs_response": Stage.OPEN,
    "under_review": Stage.OPEN,
    "appeal_needs_response": Stage.OPEN,
    "appeal_under_review": Stage.OPEN,
    "prevented": Stage.PREVENTED,
    "lost": Stage.GONE,
    "won": Stage.BACK,
}
"""An inquiry moves no money (https://docs.stripe.com/disputes/how-disputes-work). A lost dispute can be won late."""

REFUND_STAGES: Mapping[str, Stage] = {
    "pending": Stage.OPEN,
    "requires_action": Stage.OPEN,
    "succeeded": Stage.GONE,
    "failed": Stage.BACK,
    "canceled": Stage.BACK,
}
"""A refund that succeeded can still fail: the bank sends it back (https://docs.stripe.com/refunds#failed-refunds)."""

BLOCKED = "block"
"""A dispute's case type: the payment was blocked before it was disputed, and nothing was paid back."""
RESOLVED = "resolution"
"""A dispute's case type: the customer was paid back before it became a chargeback.

https://docs.stripe.com/api/disputes/object#dispute_object-payment_method_details-card-case_type
"""


def rank(stages: Mapping[str, Stage], value: str) -> tuple[int, str]:
    """Return what orders two values; those of one stage by their place in the table, unknown ones by name."""
    # Within a stage the table's order counts. It is any order, but always the same.
    if value not in stages:
        return (Stage.UNKNOWN * 100, value)
    return (stages[value] * 100 + list(stages).index(value), value)

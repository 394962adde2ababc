"""Read the facts of disputes, early fraud warnings and reviews."""

from collections.abc import Mapping

from payments.facts import Dispute, Facts, Movement, Review, Warning_
from payments.merging import merge
from payments.stripe import values
from payments.stripe.states import BLOCKED, DISPUTE_STAGES, RESOLVED
from payments.stripe.values import Object


def dispute(dispute: Object, at: int) -> Facts:
    """Return the snapshot of a dispute, with its balance transactions."""
    amount, impossible = values.amount_of(dispute, "dispute", at)
    try:
        movements = _movements(dispute)
    except values.ImpossibleSumError:
        # Where one of the sums is impossible, the others prove nothing either.
        movements, impossible = {}, {"unknown": {"dispute.balance_transactions.amount": at}}
    snapshot = Dispute(
        at=at,
        intent=values.id_of(dispute.get("payment_intent")) or "",
        amount=amount,
        currency=values.shown(dispute.get("currency")).lower(),
        status=values.IMPOSSIBLE if impossible else values.text(dispute["status"]),
        reason=values.shown(dispute.get("reason")),
        due_by=values.seconds(values.find(dispute, "evidence_details", "due_by")),
        case_type=values.shown(values.find(dispute, "payment_method_details", "card", "case_type")),
        moved=len(movements),
        movements=movements,
    )
    unknown = values.unknown("dispute.status", dispute["status"], DISPUTE_STAGES, at)
    # This word covers two ends. Only the case type says which.
    if dispute["status"] == "prevented":
        unknown = values.unknown("dispute.case_type", snapshot["case_type"], {BLOCKED, RESOLVED}, at)
    return merge(merge({"disputes": {values.own_id(dispute): snapshot}}, unknown), impossible)


def _movements(dispute: Object) -> dict[str, Movement]:
    """Return the balance transactions of a dispute (https://docs.stripe.com/api/balance_transactions/object)."""
    listed = dispute.get("balance_transactions")
    return {
        values.own_id(transaction): Movement(
            amount=values.signed_units(transaction["amount"]),
            fee=values.signed_units(transaction.get("fee") or 0),
            currency=values.text(transaction["currency"]).lower(),
            at=values.seconds(transaction.get("created")),
        )
        for transaction in (listed if isinstance(listed, list) else [])
        if isinstance(transaction, Mapping)
    }


def warning(warning: Object, at: int) -> Facts:
    """Return the snapshot of an early fraud warning."""
    known = Warning_(
        at=at,
        fraud_type=values.shown(warning.get("fraud_type")),
        actionable=warning.get("actionable") is True,
    )
    return {"warnings": {values.own_id(warning): known}}


def review(review: Object, at: int) -> Facts:
    """Return the snapshot of a review."""
    reason = values.shown(review.get("closed_reason")) or values.shown(review.get("reason"))
    return {"reviews": {values.own_id(review): Review(at=at, open=review.get("open") is True, reason=reason)}}

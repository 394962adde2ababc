"""Read the facts of charges and refunds."""

from payments.facts import Charge, Facts, Refund
from payments.merging import merge
from payments.stripe import values
from payments.stripe.states import REFUND_STAGES
from payments.stripe.values import Object


def paid(charge: Object, at: int) -> Facts:
    """Return what a charge that was paid says of the means of payment."""
    # A charge that failed says how the customer tried to pay, not how the money came.
    if charge.get("status") != "succeeded" or not (details := values.find(charge, "payment_method_details")):
        return {}
    kind = values.shown(values.find(details, "type"))
    made = Charge(
        at=at,
        intent=values.id_of(charge.get("payment_intent")) or "",
        kind=kind,
        brand=values.shown(values.find(details, kind, "brand")),
        last4=values.shown(values.find(details, kind, "last4"), most=4),
        wallet=values.shown(values.find(details, kind, "wallet", "type")),
        risk_level=values.shown(values.find(charge, "outcome", "risk_level")),
        receipt_url=values.shown(charge.get("receipt_url"), most=2048),
    )
    return {"charges": {values.own_id(charge): made}}


def refunded(charge: Object, at: int) -> Facts:
    """Return the most that the charge says was refunded, and what it says of the means of payment."""
    # The most that was ever said: a charge's sum goes down again when a refund fails.
    least = {values.id_of(charge.get("payment_intent")) or "": values.minor_units(charge["amount_refunded"])}
    return merge({"refunded_at_least": least}, paid(charge, at))


def refund(refund: Object, at: int) -> Facts:
    """Return the snapshot of a refund."""
    # A refund of an old version, or of a method that takes no time, has no status: it is made.
    status = refund["status"] or "succeeded"
    unknown = values.unknown("refund.status", status, REFUND_STAGES, at)
    amount, impossible = values.amount_of(refund, "refund", at)
    made = Refund(
        at=at,
        amount=amount,
        status=values.IMPOSSIBLE if impossible else values.text(status),
        intent=values.id_of(refund.get("payment_intent")) or "",
    )
    return merge(merge({"refunds": {values.own_id(refund): made}}, unknown), impossible)

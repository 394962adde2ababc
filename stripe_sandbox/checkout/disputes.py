"""Steps of a dispute: opened, escalated, closed."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from stripe_sandbox.checkout import fraud
from stripe_sandbox.errors import NotPossible
from stripe_sandbox.events.emit import AUTOMATIC, Happening, Origin, changed, emit
from stripe_sandbox.models import Charge, Dispute, PaymentIntent, Session
from stripe_sandbox.objects.balance_transaction import reinstated, withdrawn
from stripe_sandbox.objects.dispute import render_dispute

Status, CaseType = Dispute.Status, Dispute.CaseType
REASONS = (
    "fraudulent",
    "product_not_received",
    "product_unacceptable",
    "duplicate",
    "credit_not_processed",
    "unrecognized",
    "general",
)
"""Source: https://docs.stripe.com/disputes/categories."""
_OPENS_AS = {
    CaseType.CHARGEBACK: Status.NEEDS_RESPONSE,
    CaseType.INQUIRY: Status.WARNING_NEEDS_RESPONSE,
    CaseType.RESOLUTION: Status.PREVENTED,
    CaseType.BLOCK: Status.PREVENTED,
}


@transaction.atomic
def open_dispute(
    *,
    payment_intent_id: str,
    amount: int | None = None,
    reason: str = "fraudulent",
    case_type: Dispute.CaseType = CaseType.CHARGEBACK,
) -> Dispute:
    """Dispute `amount` minor units of a payment, or all that is left; return the dispute.

    A chargeback withdraws the money; an inquiry does not. A prevented dispute ends at once: a resolution pays the
    customer back, a block does not.
    Raise NotPossible if nothing was paid or less is left, or PaymentIntent.DoesNotExist.
    """
    intent = PaymentIntent.objects.get(stripe_id=payment_intent_id)
    session = Session.objects.select_for_update().get(payment_intent=intent)
    charge = intent.charges.filter(status=Charge.Status.SUCCEEDED).first()
    dispute = Dispute.objects.create(
        charge=_disputable(charge),
        amount=_amount(charge, amount),
        reason=reason,
        case_type=case_type,
        status=_OPENS_AS[case_type],
    )
    happened = _withdraw(dispute) if dispute.takes_money else []
    # Rendered after the withdrawal, which the first event shows already, as at Stripe.
    happened.insert(0, Happening("charge.dispute.created", render_dispute(dispute)))
    emit(session, [*happened, *fraud.after_dispute(dispute.charge)])
    return dispute


@transaction.atomic
def close_dispute(*, dispute_id: str, won: bool, origin: Origin = AUTOMATIC) -> Dispute:
    """Close a dispute; reinstate the money if it is won. An inquiry closes without a winner.

    Return the dispute. Raise NotPossible if it is closed already, or Dispute.DoesNotExist.
    """
    session, dispute = _locked(dispute_id)
    if not dispute.is_open:
        raise NotPossible(f"This dispute is already closed: it was {dispute.status}.")
    before = render_dispute(dispute)
    if dispute.status == Status.WARNING_NEEDS_RESPONSE:
        won, dispute.status = False, Status.WARNING_CLOSED
    else:
        dispute.status = Status.WON if won else Status.LOST
    dispute.save(update_fields=["status"])
    if not won:
        emit(session, [changed("charge.dispute.closed", before, render_dispute(dispute))], origin=origin)
        return dispute
    closed = changed("charge.dispute.closed", before, render_dispute(dispute))
    back = _move(dispute, reinstated(dispute, now=timezone.now()))
    emit(session, [closed, changed("charge.dispute.funds_reinstated", closed.object, back)], origin=origin)
    return dispute


@transaction.atomic
def escalate(*, dispute_id: str) -> Dispute:
    """Turn an inquiry into a chargeback, and withdraw the money. Return the dispute.

    Raise NotPossible if it is no open inquiry or less is left, or Dispute.DoesNotExist.
    """
    session, dispute = _locked(dispute_id)
    if dispute.status != Status.WARNING_NEEDS_RESPONSE:
        raise NotPossible(f"Only an open inquiry becomes a chargeback: this dispute is {dispute.status}.")
    # An inquiry withdrew nothing, so a refund may have taken the money since.
    _amount(dispute.charge, dispute.amount)
    before = render_dispute(dispute)
    dispute.status, dispute.case_type = Status.NEEDS_RESPONSE, CaseType.CHARGEBACK
    dispute.save(update_fields=["status", "case_type"])
    withdrawn_ = _withdraw(dispute)
    updated = changed("charge.dispute.updated", before, render_dispute(dispute))
    emit(session, [updated, *withdrawn_, *fraud.after_dispute(dispute.charge)])
    return dispute


def _locked(dispute_id: str) -> tuple[Session, Dispute]:
    dispute = Dispute.objects.select_related("charge__payment_intent__session").get(stripe_id=dispute_id)
    # The session is the lock of all that belongs to it. The dispute was read before, so read again what may
    # have changed.
    session = Session.objects.select_for_update().get(pk=dispute.charge.payment_intent.session.pk)
    dispute.refresh_from_db(fields=["status", "case_type", "balance_transactions"])
    return session, dispute


def _withdraw(dispute: Dispute) -> list[Happening]:
    """Withdraw the money. As at Stripe, `charge.dispute.created` shows it already."""
    after = _move(dispute, withdrawn(dispute, now=timezone.now()))
    return [Happening("charge.dispute.funds_withdrawn", after)]


def _move(dispute: Dispute, moved: dict[str, Any]) -> dict[str, Any]:
    """Add a balance transaction to a dispute; return the rendered dispute."""
    dispute.balance_transactions = [*dispute.balance_transactions, moved]
    dispute.save(update_fields=["balance_transactions"])
    return render_dispute(dispute)


def _disputable(charge: Charge | None) -> Charge:
    if charge is None:
        raise NotPossible("Nothing was paid that could be disputed.")
    if charge.refundable <= 0:
        disputed = "This payment has been disputed already."
        raise NotPossible(disputed if charge.amount_disputed else "Nothing is left to dispute.")
    return charge


def _amount(charge: Charge | None, asked: int | None) -> int:
    """Return the amount to dispute, at most what is left."""
    left = charge.refundable if charge else 0
    if asked is not None and not 0 < asked <= left:
        raise NotPossible(f"Dispute 1 to {left} minor units: that is what is left of this payment.")
    return left if asked is None else asked

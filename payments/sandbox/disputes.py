"""Customers who dispute a payment at their bank."""

from django.db import transaction
from django.utils import timezone

from .errors import NotPossible
from .events import AUTOMATIC, Happening, Origin, changed, tell
from .models import Charge, Dispute, PaymentIntent, Session
from .objects.dispute import reinstatement, render_dispute, withdrawal


@transaction.atomic
def open_dispute(*, payment_intent_id: str) -> Dispute:
    """Let the customer dispute what is left of the payment; the money is withdrawn. Return the dispute.

    Raise NotPossible if nothing was paid, all was refunded, or there is a dispute already;
    PaymentIntent.DoesNotExist if there is none.
    """
    intent = PaymentIntent.objects.get(stripe_id=payment_intent_id)
    session = Session.objects.select_for_update().get(payment_intent=intent)
    charge = intent.charges.filter(status=Charge.Status.SUCCEEDED).first()
    amount = intent.amount - charge.amount_refunded if charge else 0
    if charge is None or amount <= 0:
        raise NotPossible("Nothing is left of this payment that could be disputed.")
    if charge.disputes.exists():
        raise NotPossible("This payment has been disputed already.")
    dispute = Dispute.objects.create(charge=charge, amount=amount)
    created = render_dispute(dispute)
    dispute.balance_transactions = [withdrawal(dispute, now=timezone.now())]
    dispute.save(update_fields=["balance_transactions"])
    happened = [
        Happening("charge.dispute.created", created),
        changed("charge.dispute.funds_withdrawn", created, render_dispute(dispute)),
    ]
    tell(session, happened)
    return dispute


@transaction.atomic
def close_dispute(*, dispute_id: str, won: bool, origin: Origin = AUTOMATIC) -> Dispute:
    """Decide a dispute; the money comes back if it is won. Return the dispute.

    Raise NotPossible if it is decided already, Dispute.DoesNotExist if there is none.
    """
    dispute = Dispute.objects.select_related("charge__payment_intent__session").get(stripe_id=dispute_id)
    session = Session.objects.select_for_update().get(pk=dispute.charge.payment_intent.session.pk)
    dispute.refresh_from_db(fields=["status"])
    if dispute.status != Dispute.Status.NEEDS_RESPONSE:
        raise NotPossible(f"This dispute is already closed: it was {dispute.status}.")
    before = render_dispute(dispute)
    dispute.status = Dispute.Status.WON if won else Dispute.Status.LOST
    dispute.save(update_fields=["status"])
    closed = render_dispute(dispute)
    happened = [changed("charge.dispute.closed", before, closed)]
    if won:
        dispute.balance_transactions = [
            *dispute.balance_transactions,
            reinstatement(dispute, now=timezone.now()),
        ]
        dispute.save(update_fields=["balance_transactions"])
        happened.append(changed("charge.dispute.funds_reinstated", closed, render_dispute(dispute)))
    tell(session, happened, origin=origin)
    return dispute

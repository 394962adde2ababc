"""Giving money back, and refunds that the customer's bank returns."""

import secrets

from django.db import transaction

from .errors import NotPossible
from .events import AUTOMATIC, Happening, Origin, changed, tell
from .models import Charge, Dispute, PaymentIntent, Refund, Session
from .objects.charge import render_charge
from .objects.refund import render_refund


@transaction.atomic
def refund(
    *,
    payment_intent_id: str,
    amount: int | None = None,
    reason: str | None = None,
    metadata: dict[str, str] | None = None,
    origin: Origin = AUTOMATIC,
) -> Refund:
    """Give back `amount` minor units of a payment, or all that is left of it; return the refund.

    Raise NotPossible if nothing was paid, not so much is left, or the payment is disputed;
    PaymentIntent.DoesNotExist if there is none.
    """
    intent = PaymentIntent.objects.get(stripe_id=payment_intent_id)
    session = Session.objects.select_for_update().get(payment_intent=intent)
    charge = _refundable(intent)
    amount = _amount(charge, amount)
    before = render_charge(charge)
    instant = charge.payment_method_type == "card"
    made = Refund.objects.create(
        charge=charge,
        amount=amount,
        reason=reason,
        metadata=metadata or {},
        status=Refund.Status.SUCCEEDED if instant else Refund.Status.PENDING,
    )
    created, refunded = render_refund(made), render_charge(charge)
    made.status = Refund.Status.SUCCEEDED
    made.reference = str(secrets.randbelow(10**23)).zfill(23) if instant else ""
    made.save(update_fields=["status", "reference"])
    happened = [
        changed("charge.refunded", before, refunded),
        Happening("refund.created", created),
        changed("refund.updated", created, render_refund(made)),
    ]
    tell(session, happened, origin=origin)
    return made


@transaction.atomic
def fail_refund(*, refund_id: str) -> Refund:
    """Let a refund that succeeded come back, as the bank could not take it; return it.

    Raise NotPossible if it failed already, Refund.DoesNotExist if there is none.
    """
    found = Refund.objects.select_related("charge__payment_intent__session").get(stripe_id=refund_id)
    session = Session.objects.select_for_update().get(pk=found.charge.payment_intent.session.pk)
    found.refresh_from_db(fields=["status"])
    if found.status == Refund.Status.FAILED:
        raise NotPossible("This refund has failed already.")
    before = render_refund(found)
    found.status = Refund.Status.FAILED
    found.save(update_fields=["status"])
    failed = render_refund(found)
    tell(session, [Happening("refund.failed", failed), changed("refund.updated", before, failed)])
    return found


def _refundable(intent: PaymentIntent) -> Charge:
    charge = intent.charges.filter(status=Charge.Status.SUCCEEDED).first()
    if charge is None:
        raise NotPossible(
            f"This PaymentIntent ({intent.stripe_id}) does not have a successful charge to refund."
        )
    if charge.disputes.exclude(status=Dispute.Status.WON).exists():
        raise NotPossible(
            f"Charge {charge.stripe_id} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    return charge


def _amount(charge: Charge, asked: int | None) -> int:
    """Return what to give back; never more than is left."""
    left = charge.payment_intent.amount - charge.amount_refunded
    if left <= 0:
        raise NotPossible(
            f"Charge {charge.stripe_id} has already been refunded.", code="charge_already_refunded"
        )
    if asked is not None and asked < 1:
        raise NotPossible("A refund is of 1 or more of the currency's minor units.", param="amount")
    if asked is not None and asked > left:
        currency = charge.payment_intent.currency
        raise NotPossible(
            f"Refund amount ({asked} {currency}) is greater than unrefunded amount on charge "
            f"({left} {currency}), in minor units.",
            param="amount",
        )
    return left if asked is None else asked

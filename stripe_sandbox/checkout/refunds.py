"""Steps of a refund: created, settled, failed."""

import secrets
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from stripe_sandbox.checkout import fraud
from stripe_sandbox.errors import NotPossible
from stripe_sandbox.events.emit import AUTOMATIC, Happening, Origin, changed, emit
from stripe_sandbox.models import Charge, PaymentIntent, Refund, Session
from stripe_sandbox.objects.balance_transaction import refund_failed, refunded
from stripe_sandbox.objects.charge import render_charge
from stripe_sandbox.objects.refund import render_refund
from stripe_sandbox.timing import BATCH_SIZE, REFUND_PENDING


@transaction.atomic
def refund(
    *,
    payment_intent_id: str,
    amount: int | None = None,
    reason: str | None = None,
    metadata: dict[str, str] | None = None,
    origin: Origin = AUTOMATIC,
) -> Refund:
    """Refund `amount` minor units of a payment, or all that is left; return the refund.

    A refund to a card succeeds at once; one to a bank account is pending until it is settled.
    Raise NotPossible if nothing was paid or less is left, or PaymentIntent.DoesNotExist.
    """
    intent = PaymentIntent.objects.get(stripe_id=payment_intent_id)
    session = Session.objects.select_for_update().get(payment_intent=intent)
    charge = _refundable(intent)
    amount = _amount(charge, amount)
    # Before the refund's row is there: the charge counts its refunds from the rows.
    before = render_charge(charge)
    instant = charge.payment_method_type == "card"
    made = Refund.objects.create(
        charge=charge,
        amount=amount,
        reason=reason,
        metadata=metadata or {},
        status=Refund.Status.SUCCEEDED if instant else Refund.Status.PENDING,
    )
    made.balance_transaction = refunded(made, now=timezone.now())
    made.save(update_fields=["balance_transaction"])
    created = render_refund(made)
    happened = [
        Happening("refund.created", created),
        changed("charge.refunded", before, render_charge(charge)),
    ]
    if instant:
        # The card network's reference comes later, in an event of its own: see `destination_details`.
        made.reference = str(secrets.randbelow(10**23)).zfill(23)
        made.save(update_fields=["reference"])
        happened.append(changed("refund.updated", created, render_refund(made)))
    emit(session, [*happened, *fraud.after_refund(charge, reason=reason)], origin=origin)
    return made


@transaction.atomic
def settle_refund(*, refund_id: str) -> Refund:
    """Let the bank accept a pending refund; return it. Raise NotPossible or Refund.DoesNotExist."""
    session, found = _locked(refund_id)
    if found.status != Refund.Status.PENDING:
        raise NotPossible(f"This refund is not pending: it is {found.status}.")
    before = render_refund(found)
    found.status = Refund.Status.SUCCEEDED
    found.save(update_fields=["status"])
    emit(session, [changed("refund.updated", before, render_refund(found))])
    return found


def settle_due(*, now: datetime | None = None) -> int:
    """Settle refunds that were pending for REFUND_PENDING, each in its own transaction; return how many."""
    before = (now or timezone.now()) - REFUND_PENDING
    due = Refund.objects.filter(status=Refund.Status.PENDING, created_at__lte=before)
    settled = 0
    for refund_id in due.order_by("pk").values_list("stripe_id", flat=True)[:BATCH_SIZE]:
        try:
            settle_refund(refund_id=refund_id)
        except NotPossible:  # another process was quicker
            continue
        settled += 1
    return settled


@transaction.atomic
def fail_refund(*, refund_id: str) -> Refund:
    """Let the bank reject a refund; return it. Raise NotPossible if it has failed already, or Refund.DoesNotExist."""
    session, found = _locked(refund_id)
    if found.status == Refund.Status.FAILED:
        raise NotPossible("This refund has failed already.")
    before = render_refund(found)
    found.status = Refund.Status.FAILED
    found.failure_balance_transaction = refund_failed(found, now=timezone.now())
    found.save(update_fields=["status", "failure_balance_transaction"])
    failed = render_refund(found)
    emit(session, [Happening("refund.failed", failed), changed("refund.updated", before, failed)])
    return found


def _locked(refund_id: str) -> tuple[Session, Refund]:
    found = Refund.objects.select_related("charge__payment_intent__session").get(stripe_id=refund_id)
    # The session is the lock of all that belongs to it. The refund was read before, so read its status again.
    session = Session.objects.select_for_update().get(pk=found.charge.payment_intent.session.pk)
    found.refresh_from_db(fields=["status"])
    return session, found


def _refundable(intent: PaymentIntent) -> Charge:
    charge = intent.charges.filter(status=Charge.Status.SUCCEEDED).first()
    if charge is None:
        raise NotPossible(
            f"This PaymentIntent ({intent.stripe_id}) does not have a successful charge to refund."
        )
    if not charge.refundable and charge.amount_disputed:
        raise NotPossible(
            f"Charge {charge.stripe_id} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    return charge


def _amount(charge: Charge, asked: int | None) -> int:
    """Return the amount to refund, at most what refunds and disputes have left."""
    left = charge.refundable
    if not left:
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

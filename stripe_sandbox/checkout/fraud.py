"""Steps of early fraud warnings and reviews."""

from django.db import transaction

from stripe_sandbox.errors import NotPossible
from stripe_sandbox.events.emit import AUTOMATIC, Happening, Origin, changed, emit
from stripe_sandbox.models import Charge, EarlyFraudWarning, PaymentIntent, Refund, Review, Session
from stripe_sandbox.objects.fraud import render_review, render_warning

FRAUD_TYPES = (
    "made_with_stolen_card",
    "made_with_lost_card",
    "unauthorized_use_of_card",
    "card_never_received",
    "fraudulent_card_application",
    "made_with_counterfeit_card",
    "misc",
)
"""Source: https://docs.stripe.com/api/radar/early_fraud_warnings/object#early_fraud_warning_object-fraud_type."""


@transaction.atomic
def warn(*, payment_intent_id: str, fraud_type: str) -> EarlyFraudWarning:
    """Create the issuer's early fraud warning of a payment; return it.

    Raise NotPossible if it was not paid by card or has a warning already, or PaymentIntent.DoesNotExist.
    """
    session, charge = _paid(payment_intent_id)
    if charge.payment_method_type != "card":
        raise NotPossible("Only issuers of cards warn of fraud.")
    if EarlyFraudWarning.objects.filter(charge=charge).exists():
        raise NotPossible("This payment has an early fraud warning already.")
    # A refund helps no more once the money has gone back, or the dispute is there.
    actionable = charge.refundable > 0 and not charge.is_disputed
    warning = EarlyFraudWarning.objects.create(charge=charge, fraud_type=fraud_type, actionable=actionable)
    emit(session, [Happening("radar.early_fraud_warning.created", render_warning(warning))])
    return warning


@transaction.atomic
def open_review(*, payment_intent_id: str) -> Review:
    """Open a review of a payment, as a rule of Radar would; return it.

    Raise NotPossible if nothing was paid or a review is open, or PaymentIntent.DoesNotExist.
    """
    session, charge = _paid(payment_intent_id)
    if charge.reviews.filter(closed_reason="").exists():
        raise NotPossible("This payment is in review already.")
    review = Review.objects.create(charge=charge)
    emit(session, [Happening("review.opened", render_review(review))])
    return review


@transaction.atomic
def close_review(*, review_id: str, reason: Review.Closed, origin: Origin = AUTOMATIC) -> Review:
    """Close a review for a reason; return it. It does not refund the payment.

    Raise NotPossible if it is closed already, or Review.DoesNotExist.
    """
    review = Review.objects.select_related("charge__payment_intent__session").get(stripe_id=review_id)
    session = Session.objects.select_for_update().get(pk=review.charge.payment_intent.session.pk)
    review.refresh_from_db(fields=["closed_reason"])
    if review.closed_reason:
        raise NotPossible(f"This review is already closed: {review.closed_reason}.")
    emit(session, [_close(review, reason)], origin=origin)
    return review


def after_refund(charge: Charge, *, reason: str | None) -> list[Happening]:
    """Close reviews and warnings after a refund of all that was left; return the events."""
    if charge.refundable:
        return []
    as_fraud = reason == Refund.FRAUDULENT
    return _over(charge, Review.Closed.REFUNDED_AS_FRAUD if as_fraud else Review.Closed.REFUNDED)


def after_dispute(charge: Charge) -> list[Happening]:
    """Close reviews and warnings after a dispute; return the events."""
    return _over(charge, Review.Closed.DISPUTED)


def _over(charge: Charge, reason: Review.Closed) -> list[Happening]:
    happened = [_close(review, reason) for review in charge.reviews.filter(closed_reason="")]
    for warning in EarlyFraudWarning.objects.filter(charge=charge, actionable=True):
        before = render_warning(warning)
        warning.actionable = False
        warning.save(update_fields=["actionable"])
        happened.append(changed("radar.early_fraud_warning.updated", before, render_warning(warning)))
    return happened


def _close(review: Review, reason: Review.Closed) -> Happening:
    review.closed_reason = reason
    review.save(update_fields=["closed_reason"])
    return Happening("review.closed", render_review(review))


def _paid(payment_intent_id: str) -> tuple[Session, Charge]:
    """Return the session, locked, and the charge of a payment that succeeded."""
    intent = PaymentIntent.objects.get(stripe_id=payment_intent_id)
    session = Session.objects.select_for_update().get(payment_intent=intent)
    charge = intent.charges.filter(status=Charge.Status.SUCCEEDED).first()
    if charge is None:
        raise NotPossible("Nothing was paid yet that could be suspected.")
    return session, charge

"""Steps of a session: paid, declined, settled, expired. Each function is one step with its events."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from stripe_sandbox.checkout.cards import CARDS, DEBIT_FAILED, DECLINES, Card, Decline, declined_card
from stripe_sandbox.errors import NotPossible
from stripe_sandbox.events.emit import AUTOMATIC, Happening, Origin, emit
from stripe_sandbox.models import Charge, PaymentIntent, Session
from stripe_sandbox.objects.balance_transaction import charged
from stripe_sandbox.objects.charge import render_charge
from stripe_sandbox.objects.payment_intent import render_payment_intent
from stripe_sandbox.objects.payment_method import delayed_method, payment_method_types
from stripe_sandbox.objects.session import render_session
from stripe_sandbox.timing import BATCH_SIZE

_CONSEQUENCES = {
    Charge.Status.SUCCEEDED: (PaymentIntent.Status.SUCCEEDED, "payment_intent.succeeded"),
    Charge.Status.PENDING: (PaymentIntent.Status.PROCESSING, "payment_intent.processing"),
    Charge.Status.FAILED: (PaymentIntent.Status.REQUIRES_PAYMENT_METHOD, "payment_intent.payment_failed"),
}
"""The payment intent's status and event for each status of a charge."""


def get_session(*, session_id: str) -> Session:
    """Return the session, after expiring it if its time is up. Raise Session.DoesNotExist."""
    if "\x00" in session_id:  # PostgreSQL refuses NUL in a query
        raise Session.DoesNotExist
    expire_overdue(session_id=session_id)
    return Session.objects.select_related("payment_intent").get(stripe_id=session_id)


def pay(*, session_id: str, card: Card = CARDS["visa"]) -> Session:
    """Pay an open session by card; return it, complete and paid.

    Raise NotPossible if it is not open, Session.DoesNotExist if there is none.
    """
    with _open(session_id) as session:
        if not session.amount_total:
            return _complete(session, [])
        charge, happened = _submit(session, method="card", card=card)
        session.payment_status = Session.PaymentStatus.PAID
        return _complete(session, [*happened, *_turn(charge, Charge.Status.SUCCEEDED)])


def decline(*, session_id: str, why: Decline = DECLINES["generic_decline"]) -> Session:
    """Decline the card; return the session, which stays open for another attempt.

    Raise NotPossible if it is not open or costs nothing, Session.DoesNotExist.
    """
    with _open(session_id) as session:
        _check_costs(session)
        charge, happened = _submit(session, method="card", card=declined_card(why))
        emit(session, [*happened, *_turn(charge, Charge.Status.FAILED, failure=why)])
        return session


def pay_later(*, session_id: str) -> Session:
    """Pay by a delayed method; return the session, complete but unpaid until `settle`.

    Raise NotPossible if it is not open or costs nothing, Session.DoesNotExist.
    """
    with _open(session_id) as session:
        _check_costs(session)
        charge, happened = _submit(session, method=delayed_method(session.currency))
        return _complete(session, [*happened, *_turn(charge, Charge.Status.PENDING)])


@transaction.atomic
def settle(*, session_id: str, succeeded: bool) -> Session:
    """End the payment by a delayed method; return the session, paid or unpaid for good.

    Raise NotPossible if no such payment is under way, Session.DoesNotExist.
    """
    session = Session.objects.select_for_update().get(stripe_id=session_id)
    charge = session.payment_intent.latest_charge if session.payment_intent else None
    if charge is None or charge.status != Charge.Status.PENDING:
        raise NotPossible("No delayed payment of this session is waiting for its end.")
    if succeeded:
        happened = _turn(charge, Charge.Status.SUCCEEDED)
        session.payment_status = Session.PaymentStatus.PAID
        session.save(update_fields=["payment_status"])
    else:
        happened = _turn(charge, Charge.Status.FAILED, failure=DEBIT_FAILED)
    outcome = "async_payment_succeeded" if succeeded else "async_payment_failed"
    emit(session, [*happened, Happening(f"checkout.session.{outcome}", render_session(session))])
    return session


def expire(*, session_id: str, origin: Origin = AUTOMATIC) -> Session:
    """End an open session before its time; return it.

    Raise NotPossible if it is not open, Session.DoesNotExist.
    """
    with _open(session_id) as session:
        return _expire(session, origin)


def expire_overdue(*, now: datetime | None = None, session_id: str | None = None) -> int:
    """Expire all overdue sessions, or the one given, each in its own transaction; return how many."""
    overdue = Session.objects.filter(status=Session.Status.OPEN, expires_at__lte=now or timezone.now())
    if session_id is not None:
        overdue = overdue.filter(stripe_id=session_id)
    expired = 0
    # Each in a transaction of its own, so that a bad one does not keep the others open.
    for pk in overdue.order_by("expires_at").values_list("pk", flat=True)[:BATCH_SIZE]:
        with transaction.atomic():
            session = overdue.select_for_update().filter(pk=pk).first()
            if session:  # no other process was quicker
                _expire(session, AUTOMATIC)
                expired += 1
    return expired


@contextmanager
def _open(session_id: str) -> Iterator[Session]:
    """Lock an open session for a step. Expire it first if it is overdue."""
    # In its own transaction: the refusal below would roll the end back.
    expire_overdue(session_id=session_id)
    with transaction.atomic():
        session = Session.objects.select_for_update().get(stripe_id=session_id)
        if session.status != Session.Status.OPEN:
            raise NotPossible(f"This Checkout Session is not open any more: it is {session.status}.")
        yield session


def _check_costs(session: Session) -> None:
    if not session.amount_total:
        raise NotPossible("This Checkout Session costs nothing: there is no payment that could fail or wait.")


def _submit(session: Session, *, method: str, card: Card | None = None) -> tuple[Charge, list[Happening]]:
    """Create the charge of an attempt to pay, and the payment intent if it is the first attempt."""
    happened = []
    if session.payment_intent is None:
        session.payment_intent = PaymentIntent.objects.create(
            amount=session.amount_total,
            currency=session.currency,
            data=session.params.get("payment_intent_data", {}),
            payment_method_types=payment_method_types(session.currency),
        )
        session.save(update_fields=["payment_intent"])
        happened.append(Happening("payment_intent.created", render_payment_intent(session.payment_intent)))
    charge = Charge.objects.create(
        payment_intent=session.payment_intent,
        payment_method_type=method,
        card=card and card.kept(),
        status=Charge.Status.PENDING,
    )
    return charge, happened


def _turn(charge: Charge, status: Charge.Status, *, failure: Decline | None = None) -> list[Happening]:
    """Set the charge's status, and the payment intent's; return the events."""
    intent = charge.payment_intent
    intent.status, intent_event = _CONSEQUENCES[status]
    intent.save(update_fields=["status"])
    charge.status, charge.failure = status, failure and failure.kept()
    if status == Charge.Status.SUCCEEDED:
        charge.balance_transaction = charged(charge, now=timezone.now())
    charge.save(update_fields=["status", "failure", "balance_transaction"])
    return [
        Happening(f"charge.{status}", render_charge(charge)),
        Happening(intent_event, render_payment_intent(intent)),
    ]


def _complete(session: Session, happened: list[Happening]) -> Session:
    session.status = Session.Status.COMPLETE
    session.save(update_fields=["status", "payment_status"])
    emit(session, [*happened, Happening("checkout.session.completed", render_session(session))])
    return session


def _expire(session: Session, origin: Origin) -> Session:
    session.status = Session.Status.EXPIRED
    session.save(update_fields=["status"])
    happened = _cancel(session.payment_intent) if session.payment_intent else []
    emit(session, [*happened, Happening("checkout.session.expired", render_session(session))], origin=origin)
    return session


def _cancel(intent: PaymentIntent) -> list[Happening]:
    """Cancel the payment intent that a declined attempt has left open."""
    intent.status = PaymentIntent.Status.CANCELED
    # Stripe's word for an intent that it cancels by itself.
    intent.canceled_at, intent.cancellation_reason = timezone.now(), "automatic"
    intent.save(update_fields=["status", "canceled_at", "cancellation_reason"])
    return [Happening("payment_intent.canceled", render_payment_intent(intent))]

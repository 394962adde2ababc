"""Asking for a payment: the row first, then Stripe, then the link to the user; a retry resumes where it broke."""

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from payments import record
from payments.announcements import announce_link
from payments.facts import Facts, money
from payments.metrics import CREATED
from payments.models import Payment, StatusChange
from payments.status import Status, holds_ride, is_open
from payments.stripe import gateway
from payments.webhooks import apply

_SUCCESS = "/checkout/success?session_id={CHECKOUT_SESSION_ID}"
"""Where a customer comes back to. Stripe fills the session in:
https://docs.stripe.com/payments/checkout/custom-success-page"""


class IdempotencyKeyReused(Exception):
    """The Idempotency-Key came with another body before: send a new key for a new request."""


class RideHasPayment(Exception):
    """The ride's payment is open or paid, and a second would charge it twice."""

    def __init__(self, payment: Payment) -> None:
        advice = " Cancel it, or let it end, before asking for another." if is_open(payment.facts) else ""
        super().__init__(f"Ride {payment.ride_id!r} has payment {payment.pk}: {payment.status}.{advice}")
        self.payment = payment


@dataclass(frozen=True, kw_only=True)
class Order:
    """A payment as the ride's backend asks for it; `amount` in minor units, `currency` in lower case."""

    ride_id: str
    user_id: str
    amount: int
    currency: str
    description: str = ""
    success_url: str = ""
    cancel_url: str = ""

    def digest(self) -> str:
        """Return what tells two orders apart."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def start(*, order: Order, idempotency_key: str | None = None) -> Payment:
    """Create the payment, its Checkout Session and the user's notification; or finish what was begun.

    A request that was answered before gets its payment as it is, also one that has ended.

    Raises IdempotencyKeyReused or RideHasPayment with nothing done, StripeError with the payment kept: the same call
    made again asks Stripe the same thing again.
    """
    payment = _reserve(order=order, idempotency_key=idempotency_key)
    if payment.announced_seq is not None or not is_open(payment.facts):
        apply.apply_parked(payment)
        return payment
    return complete(payment)


def complete(payment: Payment) -> Payment:
    """Ask Stripe for the session of a payment that has none yet, and hand its link to the user.

    It is the same request however often it is made, also at the same time. Raises StripeError, with the payment kept.
    """
    try:
        session = gateway.create_session(
            params=payment.stripe_params, idempotency_key=f"payment-{payment.pk}-{payment.attempt}"
        )
    except gateway.StripeError as error:
        CREATED.labels(outcome=type(error).__name__).inc()
        _note_failure(payment, error)
        raise
    CREATED.labels(outcome="created").inc()
    payment = _hand_over(payment_id=payment.pk, session=session)
    apply.apply_parked(payment)
    return payment


def _note_failure(payment: Payment, error: gateway.StripeError) -> None:
    """Keep why there is no session, and have the next try be another request where Stripe would repeat its answer.

    Source: https://docs.stripe.com/api/idempotent_requests. A session that was made all the same is never handed
    to anybody, and ends by itself. A refusal of our key is not repeated: with a good one, the request finds the
    session of an earlier try whose answer got lost.
    """
    Payment.objects.filter(pk=payment.pk, session_id=None, attempt=payment.attempt).update(
        stripe_error=str(error), attempt=payment.attempt + error.is_final
    )


def _reserve(*, order: Order, idempotency_key: str | None) -> Payment:
    """Return the row of this order, committed: an earlier one of the same request, or a new one."""
    try:
        return _earlier_or_new(order=order, idempotency_key=idempotency_key)
    except IntegrityError:  # somebody else reserved the ride or the key a moment ago, and has committed it
        return _earlier_or_new(order=order, idempotency_key=idempotency_key)


@transaction.atomic
def _earlier_or_new(*, order: Order, idempotency_key: str | None) -> Payment:
    return _earlier(order=order, idempotency_key=idempotency_key) or _new(
        order=order, idempotency_key=idempotency_key
    )


def _earlier(*, order: Order, idempotency_key: str | None) -> Payment | None:
    digest = order.digest()
    if idempotency_key is not None:
        payment = Payment.objects.filter(idempotency_key=idempotency_key).first()
        if payment is not None:
            if payment.request_digest != digest:
                raise IdempotencyKeyReused
            return payment
    payments = Payment.objects.filter(ride_id=order.ride_id).order_by("created_at")
    # One that gave up the ride can be paid all the same, or its refund can fail.
    holder = next((p for p in payments if p.ride_claim or holds_ride(p.facts)), None)
    if holder is None:
        return None
    is_same = holder.request_digest == digest and holder.idempotency_key in {None, idempotency_key}
    if holder.announced_seq is not None or not is_same:
        raise RideHasPayment(holder)
    if idempotency_key is not None:
        holder.idempotency_key = idempotency_key
        holder.save(update_fields=["idempotency_key"])
    return holder


def _new(*, order: Order, idempotency_key: str | None) -> Payment:
    payment = Payment(
        ride_id=order.ride_id,
        ride_claim=order.ride_id,
        user_id=order.user_id,
        amount=order.amount,
        currency=order.currency,
        description=order.description,
        facts={"asked": money(order.amount, order.currency)},
        idempotency_key=idempotency_key,
        request_digest=order.digest(),
    )
    payment.stripe_params = _stripe_params(payment, order)
    payment.save(force_insert=True)
    return payment


def _stripe_params(payment: Payment, order: Order) -> dict[str, Any]:
    """Return what Stripe is asked for (https://docs.stripe.com/api/checkout/sessions/create).

    A session's metadata is not copied to its payment intent, so both carry the payment's id: their events come in
    any order, and either may be the first to tell of the payment.
    """
    metadata = {"payment_id": str(payment.pk), "ride_id": order.ride_id}
    return {
        "mode": "payment",
        "client_reference_id": str(payment.pk),
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": order.currency,
                    "unit_amount": order.amount,
                    "product_data": {"name": order.description or f"Ride {order.ride_id}"},
                },
            }
        ],
        "metadata": metadata,
        "payment_intent_data": {"metadata": metadata},
        "success_url": order.success_url or settings.PUBLIC_URL + _SUCCESS,
        "cancel_url": order.cancel_url or f"{settings.PUBLIC_URL}/checkout/cancel",
    }


def _hand_over(*, payment_id: Any, session: dict[str, Any]) -> Payment:
    """Save the session and hand its link to the user, once, unless the payment ended meanwhile."""
    with transaction.atomic():
        payment = record.lock(payment_id)
        if payment.announced_seq is not None:
            return payment
        payment.session_id = session["id"]
        payment.payment_url = session["url"] or ""
        payment.expires_at = datetime.fromtimestamp(session["expires_at"], tz=UTC)
        payment.stripe_error = ""
        was_canceled = payment.status == Status.CANCELED
        if payment.payment_url and is_open(payment.facts):
            payment.announced_seq = announce_link(payment)
        payment.save(
            update_fields=[
                "session_id",
                "payment_url",
                "expires_at",
                "stripe_error",
                "announced_seq",
            ]
        )
    if was_canceled:  # while Stripe was being asked; nobody has the link, so it may as well end by itself
        with contextlib.suppress(gateway.StripeError):
            gateway.expire_session(session_id=session["id"])
    return payment


def give_up(payment: Payment, *, reason: str, cause: StatusChange.Cause) -> bool:
    """Cancel a payment that never got a session, so that its ride is free; tell whether it still had none."""
    with transaction.atomic():
        payment = record.lock(payment.pk)
        if payment.session_id is not None or not is_open(payment.facts):
            return False
        if not payment.stripe_error:
            payment.stripe_error = reason
            payment.save(update_fields=["stripe_error"])
        gone: Facts = {"canceled": int(datetime.now(tz=UTC).timestamp())}
        record.learn(payment.pk, gone, cause=cause)
    return True


class NotCancelable(Exception):
    """The payment is paid, or has ended: there is nothing left to cancel."""


def cancel(*, payment_id: Any, cause: StatusChange.Cause) -> Payment:
    """End an open payment, so that its link can no longer be paid; one that is canceled stays so.

    Raises Payment.DoesNotExist, NotCancelable or StripeError.
    """
    with transaction.atomic():
        payment = record.lock(payment_id)
        if payment.status == Status.CANCELED:
            return payment
        if not is_open(payment.facts):
            raise NotCancelable(f"The payment is {payment.status}: only an open payment can be canceled.")
        now = int(datetime.now(tz=UTC).timestamp())
        wish: Facts = {"cancel_requested": now} if payment.session_id else {"canceled": now}
        payment = record.learn(payment_id, wish, cause=cause)
    if payment.session_id is None:
        return payment
    _expire(payment)
    return record.learn(payment_id, {"expired": now}, cause=cause)


def _expire(payment: Payment) -> None:
    """End the session at Stripe, which refuses when it has ended already: paid, or expired by an earlier try."""
    session_id = payment.session_id or ""
    try:
        gateway.expire_session(session_id=session_id)
    except gateway.StripeRefused as error:
        if gateway.retrieve_session(session_id=session_id)["status"] != "expired":
            raise NotCancelable(f"Stripe does not cancel it any more: {error}") from error

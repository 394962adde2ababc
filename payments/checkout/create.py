"""Create a payment: the row first, then Stripe's session, then the user's link. A retry resumes where it broke."""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction

from notifications import feed
from payments import announcements, record, sql, writes
from payments.facts import money
from payments.metrics import CREATED
from payments.models import Payment
from payments.status import Status, holds_ride, is_open
from payments.stripe import gateway
from payments.webhooks import apply

_SUCCESS = "/checkout/success?session_id={CHECKOUT_SESSION_ID}"
"""Where Checkout sends the customer back to. Stripe fills in the session:
https://docs.stripe.com/payments/checkout/custom-success-page"""
_Key = Mapping[str, str | None]
"""The idempotency key of a request, and the name of the API key that sent it."""


class IdempotencyKeyReused(Exception):
    """The Idempotency-Key belongs to an earlier request with another body."""


class RideHasPayment(Exception):
    """The ride has an open or paid payment. A second would charge it twice."""

    def __init__(self, payment: Payment) -> None:
        """Say which payment stands in the way, and how to end it if it is open."""
        advice = " Cancel it, or let it end, before asking for another." if is_open(payment.facts) else ""
        super().__init__(f"Ride {payment.ride_id!r} has payment {payment.pk}: {payment.status}.{advice}")
        self.payment = payment


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the ride's backend asks for: `amount` in minor units, `currency` in lower case."""

    ride_id: str
    user_id: str
    amount: int
    currency: str
    description: str = ""
    success_url: str = ""
    cancel_url: str = ""

    def digest(self) -> str:
        """Return a digest that is the same for equal orders only."""
        return hashlib.sha256(json.dumps(vars(self), sort_keys=True).encode()).hexdigest()


def start(*, order: Order, idempotency_key: str | None = None, api_key: str = "") -> Payment:
    """Create the payment, its Checkout Session and the user's notification, or finish an earlier try.

    A repeated request gets its payment as it is now, even if it has ended. Each API key, which `api_key` names, has
    idempotency keys of its own, and repeats no request of another. Raises IdempotencyKeyReused or RideHasPayment with
    nothing done; StripeError with the payment kept, so that the same call goes on with it.
    """
    payment, version = _reserve(order, {"api_key": api_key, "idempotency_key": idempotency_key})
    if payment.link_seq is not None or not is_open(payment.facts):
        # An earlier try may have died after it saved the session, before it looked for what waits.
        apply.apply_parked(payment)
        return payment
    return complete(payment, version=version)


def complete(payment: Payment, *, version: str = "") -> Payment:
    """Ask Stripe for the session that a payment lacks, and send its link to the user. `version`: see `_announce`.

    Repeated and concurrent calls make one session. Raises StripeError with the payment kept.
    """
    try:
        session = gateway.create_session(
            params=payment.stripe_params, idempotency_key=f"payment-{payment.pk}-{payment.attempt}"
        )
    except gateway.StripeError as error:
        CREATED.labels(outcome=type(error).__name__).inc()
        # Another key if Stripe would only repeat its answer (https://docs.stripe.com/api/idempotent_requests). If the
        # request made a session after all, nobody gets its link, and it expires. Stripe keeps no refusal of the API
        # key: with a valid one, the same request finds the session of an earlier try whose answer got lost.
        Payment.objects.filter(pk=payment.pk, session_id=None, attempt=payment.attempt).update(
            stripe_error=str(error), attempt=payment.attempt + error.is_final
        )
        raise
    CREATED.labels(outcome="created").inc()
    payment = _announce(payment, session=session, version=version)
    # Events that overtook Stripe's answer wait for this session.
    apply.apply_parked(payment)
    return payment


def _reserve(order: Order, key: _Key) -> tuple[Payment, str]:
    """Return the committed row of this order: that of an earlier, equal request, or a new one with its version.

    It looks and inserts in two transactions: what comes in between meets the unique ride or key, and is found then.
    """
    try:
        return _earlier_or_new(order, key)
    except IntegrityError:
        return _earlier_or_new(order, key)


def _earlier_or_new(order: Order, key: _Key) -> tuple[Payment, str]:
    payment = _new(order, key)
    if key["idempotency_key"] is not None and (earlier := Payment.objects.filter(**key).first()):
        if earlier.request_digest != payment.request_digest:
            raise IdempotencyKeyReused
        return earlier, ""
    version = writes.add_first_payment(payment)
    if version is None:
        # A payment that released its ride can still be paid, or its refund can fail.
        holders = (pk for pk, claim, facts in sql.of_ride(order.ride_id) if claim or holds_ride(facts))
        if holder := next(holders, None):
            return _adopted(holder, digest=payment.request_digest, key=key), ""
        version = writes.add_payment(payment)
    return payment, version


@transaction.atomic
def _adopted(payment_id: Any, *, digest: str, key: _Key) -> Payment:
    """Return the ride's payment for a request that is the same and got no link yet. Raises RideHasPayment otherwise.

    Of concurrent requests with different keys the first adopts the payment, and the others see that.
    """
    holder = record.lock(payment_id)
    is_same = holder.request_digest == digest and holder.api_key == key["api_key"]
    if is_same and holder.idempotency_key is not None and holder.idempotency_key == key["idempotency_key"]:
        return holder  # it was committed, and may have got its link, since its key was looked for
    if holder.link_seq is not None or not is_same or holder.idempotency_key is not None:
        raise RideHasPayment(holder)
    if key["idempotency_key"] is not None:
        holder.idempotency_key = key["idempotency_key"]
        holder.save(update_fields=["idempotency_key"])
    return holder


def _new(order: Order, key: _Key) -> Payment:
    payment = Payment(
        ride_id=order.ride_id,
        ride_claim=order.ride_id,
        user_id=order.user_id,
        amount=order.amount,
        currency=order.currency,
        description=order.description,
        facts={"asked": money(order.amount, order.currency)},
        **key,
        request_digest=order.digest(),
    )
    # Frozen here: Stripe repeats its answer to a key only if the parameters are the same.
    payment.stripe_params = _stripe_params(payment, order)
    return payment


def _stripe_params(payment: Payment, order: Order) -> dict[str, Any]:
    """Return the request to Stripe (https://docs.stripe.com/api/checkout/sessions/create).

    Stripe does not copy a session's metadata to its payment intent. Both carry the payment's id, because their events
    come in any order.
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


def _announce(payment: Payment, *, session: dict[str, Any], version: str = "") -> Payment:
    """Save the session and send its link to the user once, unless the payment has ended meanwhile; return the payment.

    With the `version` of a payment that was inserted just now this is one statement. It writes nothing if anything has
    changed the payment since, which is then locked and read.
    """
    if version and session["url"]:
        with contextlib.suppress(writes.ChangedError):
            _keep(session, payment)
            _send_link(payment, version=version)
            return payment
    with transaction.atomic():
        try:
            payment = record.lock(payment.pk)
        except Payment.DoesNotExist:  # the same request, sent again, makes another
            raise OperationalError("The database lost the payment while Stripe was asked.") from None
        if payment.link_seq is not None:  # a request at the same time has sent it
            return payment
        _keep(session, payment)
        was_canceled = payment.status == Status.CANCELED
        if payment.payment_url and is_open(payment.facts):
            _send_link(payment)
        else:
            payment.save(update_fields=["session_id", "payment_url", "expires_at", "stripe_error"])
    if was_canceled:  # during the call to Stripe. If this fails, the session expires: nobody has its link.
        with contextlib.suppress(gateway.StripeError):
            gateway.expire_session(session_id=session["id"])
    return payment


def _keep(session: dict[str, Any], payment: Payment) -> None:
    """Set what a payment keeps of its session."""
    payment.session_id = session["id"]
    payment.payment_url = session["url"] or ""
    payment.expires_at = datetime.fromtimestamp(session["expires_at"], tz=UTC)
    payment.stripe_error = ""


def _send_link(payment: Payment, *, version: str = "") -> None:
    """Write the session and the link's notification; wake the user's connections after the commit. See `write_link`."""
    news = announcements.link(payment)
    feed.wake_after_commit(news, writes.write_link(payment, news=news, version=version))

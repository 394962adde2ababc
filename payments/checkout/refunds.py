"""Giving money back: the request is kept first, so that a retry is never a second refund."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from payments import record
from payments.checkout import refundable
from payments.checkout.create import IdempotencyKeyReused
from payments.models import Payment, RefundRequest, StatusChange
from payments.stripe import gateway
from payments.stripe.events import UnreadableError, refund_facts

_ID_MAX = 255
_STATUS_MAX = 20


def refund(
    *,
    payment_id: Any,
    amount: int | None,
    payment_intent_id: str | None,
    idempotency_key: str,
    cause: StatusChange.Cause,
) -> RefundRequest:
    """Refund `amount` minor units, or all that is left of a payment intent, and record Stripe's answer.

    Without `payment_intent_id` it is the intent of which the most is left. Raises Payment.DoesNotExist,
    refundable.NotRefundable, IdempotencyKeyReused or StripeError; after the last the same call made again asks Stripe
    for the same refund.
    """
    request = _reserve(
        payment_id=payment_id, amount=amount, intent_id=payment_intent_id, idempotency_key=idempotency_key
    )
    return request if request.refund_id else complete(request, cause=cause)


def is_key_kept(request: RefundRequest) -> bool:
    """Tell whether Stripe still knows the request by its key, so that it can be repeated."""
    return request.created_at > timezone.now() - gateway.KEYS_KEPT


def complete(request: RefundRequest, *, cause: StatusChange.Cause) -> RefundRequest:
    """Ask Stripe for a refund that it has not answered yet, and record its answer.

    It is the same refund however often this is done, also at the same time. Where an earlier try may have made it, and
    the key would not bring back its answer, it is looked for first.
    Raises StripeError: StripeRefused with the request forgotten, any other with it kept.
    """
    is_first = request.attempt == 1 and is_key_kept(request)
    if not is_first and (made := find(request)):
        return settle(request, made, cause=cause)
    answer: Mapping[str, Any]
    try:
        answer = gateway.create_refund(params=_params(request), idempotency_key=_key(request))
    except gateway.StripeError as error:
        if not error.is_final:
            raise
        answer = _made_before(request, error)
    return settle(request, answer, cause=cause)


def _made_before(request: RefundRequest, error: gateway.StripeError) -> Mapping[str, Any]:
    """Return the refund that an earlier try made, whose answer got lost. Raises the error where there is none.

    Only then a refused request is forgotten, and one whose answer Stripe would repeat gets another key.
    """
    same = RefundRequest.objects.filter(pk=request.pk, refund_id="", attempt=request.attempt)
    if isinstance(error, gateway.StripeUnavailable):
        same.update(attempt=request.attempt + 1)
    if made := find(request):
        return made
    if isinstance(error, gateway.StripeRefused):
        same.delete()
    raise error


def _params(request: RefundRequest) -> dict[str, Any]:
    """Return what Stripe is asked for (https://docs.stripe.com/api/refunds/create).

    A request of the version before has nothing frozen. It was asked for in these words.
    """
    return request.stripe_params or {
        "payment_intent": refundable.intent_id(request),
        "amount": request.amount,
        "metadata": {"refund_request": str(request.pk)},
    }


def _key(request: RefundRequest) -> str:
    first = f"refund-{request.payment_id}-{request.pk}"
    return first if request.attempt == 1 else f"{first}-{request.attempt}"


def settle(request: RefundRequest, made: Mapping[str, Any], *, cause: StatusChange.Cause) -> RefundRequest:
    """Note which of Stripe's refunds a request became, and what that says of the payment."""
    try:
        facts = refund_facts({**made, "payment_intent": refundable.intent_id(request)})
    except UnreadableError as error:
        raise gateway.StripeUnavailable(f"Stripe's answer could not be read: {error}.") from error
    with transaction.atomic():
        request.payment = record.learn(request.payment_id, facts, cause=cause)
        request.refund_id = made["id"][:_ID_MAX]
        request.refund_status = (made["status"] or "succeeded")[:_STATUS_MAX]
        RefundRequest.objects.filter(pk=request.pk).update(
            refund_id=request.refund_id, refund_status=request.refund_status, given_up_at=None
        )
    return request


def find(request: RefundRequest) -> Mapping[str, Any] | None:
    """Return the refund that Stripe made for a request, should its answer have got lost; None: it made none.

    A database that was restored gives numbers out again, so that the amount has to be the same too.
    Raises StripeError.
    """
    for page in gateway.list_refunds(payment_intent_id=refundable.intent_id(request)):
        for made in page:
            number = (made.get("metadata") or {}).get("refund_request")
            if number == str(request.pk) and made.get("amount") == request.amount:
                return made
    return None


def give_up(request: RefundRequest) -> bool:
    """Note that nothing was refunded and nobody waits for it any more; tell whether it was still unanswered.

    The row stays: the same request, made again, is still the same refund.
    """
    unanswered = RefundRequest.objects.filter(pk=request.pk, refund_id="")
    return bool(unanswered.update(given_up_at=timezone.now()))


def _reserve(
    *, payment_id: Any, amount: int | None, intent_id: str | None, idempotency_key: str
) -> RefundRequest:
    """Return the row of this request, committed: an earlier one of the same request, or a new one."""
    try:
        with transaction.atomic():
            payment = record.lock(payment_id)
            return _earlier(
                payment, amount=amount, intent_id=intent_id, idempotency_key=idempotency_key
            ) or _new(payment, amount=amount, intent_id=intent_id, idempotency_key=idempotency_key)
    except IntegrityError:  # the key came for another payment at the same moment
        raise IdempotencyKeyReused from None


def _earlier(
    payment: Payment, *, amount: int | None, intent_id: str | None, idempotency_key: str
) -> RefundRequest | None:
    """Return the request with this key. One that was given up needs its amount to be left still."""
    request = RefundRequest.objects.filter(idempotency_key=idempotency_key).first()
    if request is None:
        return None
    is_same = request.payment_id == payment.pk and request.whole is (amount is None)
    known = refundable.intent_id(request)
    if not is_same or amount not in {None, request.amount} or intent_id not in {None, known}:
        raise IdempotencyKeyReused
    request.payment = payment
    if request.given_up_at is not None:
        refundable.choose(payment, amount=request.amount, intent_id=known)
        request.given_up_at = None
        request.save(update_fields=["given_up_at"])
    return request


def _new(
    payment: Payment, *, amount: int | None, intent_id: str | None, idempotency_key: str
) -> RefundRequest:
    chosen, minor_units = refundable.choose(payment, amount=amount, intent_id=intent_id)
    request = RefundRequest.objects.create(
        payment=payment,
        payment_intent_id=chosen,
        amount=minor_units,
        whole=amount is None,
        idempotency_key=idempotency_key,
    )
    request.stripe_params = _params(request)
    request.save(update_fields=["stripe_params"])
    return request

"""Refund a payment: keep the request first, so that a retry is never a second refund."""

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
    api_key: str = "",
) -> RefundRequest:
    """Refund `amount` minor units, or all that is left of a payment intent, and record Stripe's answer.

    Without `payment_intent_id`, choose the intent with the most left. Each API key, which `api_key` names, has
    idempotency keys of its own. Raises Payment.DoesNotExist, refundable.NotRefundable, IdempotencyKeyReused or
    StripeError. After the last, the same call asks Stripe for the same refund.
    """
    key = {"api_key": api_key, "idempotency_key": idempotency_key}
    request = _reserve(payment_id=payment_id, amount=amount, intent_id=payment_intent_id, key=key)
    return request if request.refund_id else complete(request, cause=cause)


def is_key_kept(request: RefundRequest) -> bool:
    """Return whether Stripe still knows the request's idempotency key, so that a repetition is safe."""
    return request.created_at > timezone.now() - gateway.KEYS_KEPT


def complete(request: RefundRequest, *, cause: StatusChange.Cause) -> RefundRequest:
    """Ask Stripe for a refund that it has not answered yet, and record its answer.

    Repeated and concurrent calls make one refund. If an earlier try may have made it, and its key no longer brings
    back the answer, look for the refund first.
    Raises StripeError: StripeRefused with the request deleted, any other with it kept.
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
    """Return the refund of an earlier try whose answer got lost; raise the error if there is none.

    Give the request another idempotency key if Stripe would repeat its error. Delete a request that Stripe refused
    and never carried out.
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
    """Return the request to Stripe (https://docs.stripe.com/api/refunds/create).

    A retry sends the same: none of these columns ever changes.
    """
    return {
        "payment_intent": request.payment_intent_id,
        "amount": request.amount,
        "metadata": {"refund_request": str(request.pk)},
    }


def _key(request: RefundRequest) -> str:
    first = f"refund-{request.payment_id}-{request.pk}"
    return first if request.attempt == 1 else f"{first}-{request.attempt}"


def settle(request: RefundRequest, made: Mapping[str, Any], *, cause: StatusChange.Cause) -> RefundRequest:
    """Record which refund at Stripe a request became, and apply it to the payment."""
    try:
        facts = refund_facts({**made, "payment_intent": request.payment_intent_id})
    except UnreadableError as error:
        raise gateway.StripeUnavailable(f"Stripe's answer could not be read: {error}.") from error
    with transaction.atomic():
        request.payment = record.learn(request.payment_id, facts, cause=cause, api_key=request.api_key)
        # Its events may have come before Stripe's answer, and have changed the status.
        request.payment.changes.filter(
            api_key="",
            created_at__gte=request.created_at,
            event__object_id__in=[made["id"], made.get("charge")],
        ).update(api_key=request.api_key)
        request.refund_id = made["id"][:_ID_MAX]
        request.refund_status = (made["status"] or "succeeded")[:_STATUS_MAX]
        RefundRequest.objects.filter(pk=request.pk).update(
            refund_id=request.refund_id, refund_status=request.refund_status, given_up_at=None
        )
    return request


def find(request: RefundRequest) -> Mapping[str, Any] | None:
    """Return the refund that Stripe made for a request, or None if it made none.

    The amount must match too: a database that was restored from a backup assigns the same ids again.
    Raises StripeError.
    """
    for page in gateway.list_refunds(payment_intent_id=request.payment_intent_id):
        for made in page:
            number = (made.get("metadata") or {}).get("refund_request")
            if number == str(request.pk) and made.get("amount") == request.amount:
                return made
    return None


def give_up(request: RefundRequest) -> bool:
    """Note that Stripe refunded nothing and will not be asked again. Return whether the request was unanswered.

    The row stays, so that the same request is still the same refund.
    """
    unanswered = RefundRequest.objects.filter(pk=request.pk, refund_id="")
    return bool(unanswered.update(given_up_at=timezone.now()))


def _reserve(
    *, payment_id: Any, amount: int | None, intent_id: str | None, key: Mapping[str, str]
) -> RefundRequest:
    """Return the committed row of this request: that of an earlier, equal request, or a new one."""
    try:
        with transaction.atomic():
            payment = record.lock(payment_id)
            return _earlier(payment, amount=amount, intent_id=intent_id, key=key) or _new(
                payment, amount=amount, intent_id=intent_id, key=key
            )
    except IntegrityError:  # a concurrent request used the key for another payment
        raise IdempotencyKeyReused from None


def _earlier(
    payment: Payment, *, amount: int | None, intent_id: str | None, key: Mapping[str, str]
) -> RefundRequest | None:
    """Return the request with this key. If it was given up, its amount must still be refundable."""
    request = RefundRequest.objects.filter(**key).first()
    if request is None:
        return None
    known = (request.payment_id, request.whole, request.amount, request.payment_intent_id)
    asked = (payment.pk, amount is None, amount or request.amount, intent_id or request.payment_intent_id)
    if asked != known:
        raise IdempotencyKeyReused
    request.payment = payment
    if request.given_up_at is not None:
        refundable.choose(payment, amount=request.amount, intent_id=request.payment_intent_id)
        request.given_up_at = None
        request.save(update_fields=["given_up_at"])
    return request


def _new(
    payment: Payment, *, amount: int | None, intent_id: str | None, key: Mapping[str, str]
) -> RefundRequest:
    chosen, minor_units = refundable.choose(payment, amount=amount, intent_id=intent_id)
    return RefundRequest.objects.create(
        payment=payment,
        payment_intent_id=chosen,
        amount=minor_units,
        whole=amount is None,
        **key,
    )

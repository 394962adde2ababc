"""Refund a payment: keep the request first, so that a retry is never a second refund."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from payments import record
from payments.checkout import refundable
from payments.checkout.create import IdempotencyKeyReused
from payments.models import Payment, RefundRequest, StatusChange
from payments.stripe import gateway, values
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
    """Refund a payment intent as `refundable.choose` says, and record Stripe's answer.

    Each API key, which `api_key` names, has idempotency keys of its own. Raises Payment.DoesNotExist, NotRefundable,
    IdempotencyKeyReused or StripeError. After the last, the same call asks Stripe for the same refund.
    """
    key = {"api_key": api_key, "idempotency_key": idempotency_key}
    request = reserve(payment_id=payment_id, amount=amount, intent_id=payment_intent_id, key=key)
    return request if request.refund_id else complete(request, cause=cause)


def reserve(
    *, payment_id: Any, amount: int | None, intent_id: str | None, key: Mapping[str, str]
) -> RefundRequest:
    """Return the row of this request: that of an earlier, equal request, or a new one. It has to be committed next.

    `key` has `api_key` and `idempotency_key`. Raises Payment.DoesNotExist, NotRefundable or IdempotencyKeyReused.
    """
    try:
        with transaction.atomic():
            # Two refunds at once would each find the same money left, so they wait for each other here.
            payment = record.lock(payment_id)
            request = RefundRequest.objects.filter(**key).first()
            if request:
                _take_up(request, payment, amount=amount, intent_id=intent_id)
            else:
                chosen, minor_units = refundable.choose(payment, amount=amount, intent_id=intent_id)
                request = RefundRequest.objects.create(
                    payment=payment,
                    payment_intent_id=chosen,
                    amount=minor_units,
                    is_full=amount is None,
                    **key,
                )
    except IntegrityError:  # a concurrent request used the key for another payment
        raise IdempotencyKeyReused from None
    return request


def _take_up(request: RefundRequest, payment: Payment, *, amount: int | None, intent_id: str | None) -> None:
    """Take up an earlier request if it asked for the same. If it was given up, its amount must still be refundable."""
    known = (request.payment_id, request.is_full, request.amount, request.payment_intent_id)
    asked = (payment.pk, amount is None, amount or request.amount, intent_id or request.payment_intent_id)
    if asked != known:
        raise IdempotencyKeyReused
    request.payment = payment
    if request.abandoned_at is not None:
        refundable.choose(payment, amount=request.amount, intent_id=request.payment_intent_id)
        request.abandoned_at = None
        request.save(update_fields=["abandoned_at"])


def is_key_kept(request: RefundRequest) -> bool:
    """Return whether Stripe still knows the request's idempotency key, so that a repetition is safe."""
    return request.created_at > timezone.now() - gateway.KEYS_KEPT


def complete(request: RefundRequest, *, cause: StatusChange.Cause) -> RefundRequest:
    """Ask Stripe for a refund that it has not answered yet, and record its answer.

    Repeated and concurrent calls make one refund. Raises StripeError: StripeRefused with the request deleted, any other
    with it kept.
    """
    made: Mapping[str, Any] | None
    # An earlier try may have made it, and its key no longer bring back the answer.
    is_first = request.attempt == 1 and is_key_kept(request)
    if not is_first and (made := find(request)):
        return settle(request, made, cause=cause)
    # Of https://docs.stripe.com/api/refunds/create. A retry sends the same: none of these columns ever changes.
    params = {
        "payment_intent": request.payment_intent_id,
        "amount": request.amount,
        "metadata": {"refund_request": str(request.pk)},
    }
    key = f"refund-{request.payment_id}-{request.pk}"
    if request.attempt > 1:
        key += f"-{request.attempt}"
    try:
        made = gateway.create_refund(params=params, idempotency_key=key)
    except gateway.StripeError as error:
        if not error.is_final:
            raise
        made = _made_before(request, error)
    return settle(request, made, cause=cause)


def _made_before(request: RefundRequest, error: gateway.StripeError) -> Mapping[str, Any]:
    """Return the refund of an earlier try whose answer got lost; raise the error if there is none.

    Give the request another idempotency key if Stripe would repeat its error. Delete a request that Stripe refused
    and never carried out.
    """
    # Another process may have had an answer, or have counted, meanwhile.
    same = RefundRequest.objects.filter(pk=request.pk, refund_id="", attempt=request.attempt)
    if isinstance(error, gateway.StripeUnavailable):
        same.update(attempt=request.attempt + 1)
    if made := find(request):
        return made
    if isinstance(error, gateway.StripeRefused):
        # Neither this try nor an earlier one moved money, so nothing needs the row.
        same.delete()
    raise error


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
            refund_id=request.refund_id, refund_status=request.refund_status, abandoned_at=None
        )
    return request


def find(request: RefundRequest) -> Mapping[str, Any] | None:
    """Return the refund that Stripe made for a request, or None if it made none. Raises StripeError."""
    for page in gateway.list_refunds(payment_intent_id=request.payment_intent_id):
        for made in page:
            # A database that was restored from a backup assigns the same ids again.
            if (
                values.find(made, "metadata", "refund_request") == str(request.pk)
                and made.get("amount") == request.amount
            ):
                return made
    return None


def give_up(request: RefundRequest) -> bool:
    """Note that Stripe refunded nothing and will not be asked again. Return whether the request was unanswered.

    The row stays, so that the same request is still the same refund.
    """
    unanswered = RefundRequest.objects.filter(pk=request.pk, refund_id="")
    return bool(unanswered.update(abandoned_at=timezone.now()))

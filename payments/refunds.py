"""Giving money back: the request is kept first, so that a retry is never a second refund."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from payments import gateway, ledger
from payments.balances import balances
from payments.checkout import IdempotencyKeyReused
from payments.events import refund_facts
from payments.models import Payment, RefundRequest, StatusChange
from payments.status import Status


class NotRefundable(Exception):
    """The payment holds no money that could go back, or less than was asked for."""


def refund(
    *, payment_id: Any, amount: int | None, idempotency_key: str | None, cause: StatusChange.Cause
) -> RefundRequest:
    """Refund `amount` minor units, or all that is left, and record Stripe's answer.

    Raises Payment.DoesNotExist, NotRefundable, IdempotencyKeyReused, StripeRefused or StripeUnavailable; after the
    last two the same call made again asks Stripe for the same refund.
    """
    request = _reserve(payment_id=payment_id, amount=amount, idempotency_key=idempotency_key)
    if not request.refund_id:
        request = complete(request, cause=cause)
    RefundRequest.objects.filter(pk=request.pk).update(handed_out=True)
    return request


def is_key_kept(request: RefundRequest) -> bool:
    """Tell whether Stripe still knows the request by its key, so that it can be repeated."""
    return request.created_at > timezone.now() - gateway.KEYS_KEPT


def complete(request: RefundRequest, *, cause: StatusChange.Cause) -> RefundRequest:
    """Ask Stripe for a refund that it has not answered yet, and record its answer.

    It is the same refund however often this is done, also at the same time. After an error of Stripe's own, which it
    would repeat to the same key, it is looked for first: it may have been made all the same.
    Raises StripeRefused, with the request forgotten, or StripeUnavailable, with it kept.
    """
    is_first = request.attempt == 1 and is_key_kept(request)
    if not is_first and (made := find(request)):
        return record(request, made, cause=cause)
    try:
        answer = gateway.create_refund(
            payment_intent_id=request.payment.payment_intent_id or "",
            amount=request.amount,
            metadata={"refund_request": str(request.pk)},
            idempotency_key=_key(request),
        )
    except gateway.StripeUnavailable as error:
        if error.is_final:
            same = RefundRequest.objects.filter(pk=request.pk, refund_id="", attempt=request.attempt)
            same.update(attempt=request.attempt + 1)
        raise
    except gateway.StripeRefused as error:
        if not error.is_about_key:  # then an earlier try may have been answered, and its answer lost
            RefundRequest.objects.filter(pk=request.pk, refund_id="").delete()  # nothing was refunded
        raise
    return record(request, answer, cause=cause)


def _key(request: RefundRequest) -> str:
    first = f"refund-{request.payment_id}-{request.pk}"
    return first if request.attempt == 1 else f"{first}-{request.attempt}"


def record(request: RefundRequest, made: Mapping[str, Any], *, cause: StatusChange.Cause) -> RefundRequest:
    """Note which of Stripe's refunds a request became, and what that says of the payment."""
    with transaction.atomic():
        payment = Payment.objects.select_for_update().get(pk=request.payment_id)
        request.refund_id, request.refund_status = made["id"], made["status"] or "pending"
        RefundRequest.objects.filter(pk=request.pk).update(
            refund_id=request.refund_id, refund_status=request.refund_status, given_up_at=None
        )
        ledger.record([ledger.Finding(payment=payment, facts=refund_facts(made))], cause=cause)
    request.payment = payment
    return request


def find(request: RefundRequest) -> Mapping[str, Any] | None:
    """Return the refund that Stripe made for a request, should its answer have got lost; None: it made none.

    Raises StripeRefused or StripeUnavailable.
    """
    for page in gateway.list_refunds(payment_intent_id=request.payment.payment_intent_id or ""):
        for made in page:
            if (made.get("metadata") or {}).get("refund_request") == str(request.pk):
                return made
    return None


def give_up(request: RefundRequest) -> bool:
    """Note that nothing was refunded and nobody waits for it any more; tell whether it was still unanswered.

    The row stays: the same request, made again, is still the same refund.
    """
    unanswered = RefundRequest.objects.filter(pk=request.pk, refund_id="")
    return bool(unanswered.update(given_up_at=timezone.now()))


def _reserve(*, payment_id: Any, amount: int | None, idempotency_key: str | None) -> RefundRequest:
    """Return the row of this request, committed: an earlier one of the same request, or a new one."""
    try:
        with transaction.atomic():
            payment = Payment.objects.select_for_update().get(pk=payment_id)
            request = _earlier(payment=payment, amount=amount, idempotency_key=idempotency_key) or _new(
                payment=payment, amount=amount, idempotency_key=idempotency_key
            )
            if request.given_up_at is not None:
                request.given_up_at = None
                request.save(update_fields=["given_up_at"])
            return request
    except IntegrityError:  # the key came for another payment at the same moment
        raise IdempotencyKeyReused from None


def _earlier(*, payment: Payment, amount: int | None, idempotency_key: str | None) -> RefundRequest | None:
    """Return the request with this key; without a key, the same request if who asked was not answered yet.

    Stripe may have answered it meanwhile, to an event or to `fetch_webhooks`.
    """
    asked = {"whole": True} if amount is None else {"whole": False, "amount": amount}
    if idempotency_key is None:
        unanswered = Q(refund_id="") | Q(handed_out=False)
        return payment.refund_requests.filter(unanswered, idempotency_key=None, **asked).first()
    request = RefundRequest.objects.filter(idempotency_key=idempotency_key).first()
    if request is None:
        return None
    is_same = request.payment_id == payment.pk and request.whole is (amount is None)
    if not is_same or amount not in {None, request.amount}:
        raise IdempotencyKeyReused
    request.payment = payment
    return request


def _new(*, payment: Payment, amount: int | None, idempotency_key: str | None) -> RefundRequest:
    left = max((book.left for book in balances(payment.facts).values()), default=0)
    if left <= 0 and payment.status in {Status.DISPUTED, Status.CHARGED_BACK}:
        raise NotRefundable(f"The payment is {payment.status}: its bank decides where the money goes.")
    if left <= 0 or not payment.payment_intent_id:
        raise NotRefundable(f"The payment is {payment.status}: only a paid payment can be refunded.")
    if amount is not None and amount > left:
        raise NotRefundable(f"Send an amount of at most {left} minor units: that much is not refunded yet.")
    return RefundRequest.objects.create(
        payment=payment,
        amount=left if amount is None else amount,
        whole=amount is None,
        idempotency_key=idempotency_key,
        handed_out=False,
    )

"""Let a second member of staff approve refunds above a sum: whoever asks for one cannot approve it."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from payments import record
from payments.balances import balances
from payments.checkout import refund, refundable
from payments.models import Payment, RefundRequest, StatusChange, WaitingRefund


class NotApprovable(Exception):
    """The person may not decide this, or it is decided already."""


def needs_second_person(payment: Payment, *, amount: int) -> bool:
    """Return whether a refund needs approval: with all refunds of the payment it is above REFUND_APPROVAL_ABOVE.

    `amount` is in minor units. All refunds count, since many small ones are a large one. In a currency that the setting
    does not name, each refund needs approval. The payment is locked, so that no other refund comes in between.
    """
    if not settings.REFUND_APPROVAL_ABOVE:
        return False
    limit = settings.REFUND_APPROVAL_ABOVE.get(payment.currency, 0)
    made = sum(money.refunded + money.under_way for money in balances(payment.facts).values())
    unanswered = RefundRequest.objects.filter(payment=payment, refund_id="", abandoned_at=None)
    return made + sum(unanswered.values_list("amount", flat=True)) + amount > limit


def ask(*, payment_id: Any, amount: int | None, key: str, by: Any) -> RefundRequest | WaitingRefund:
    """Refund a payment for a member of staff, or let the refund wait for a second one.

    `amount` is in minor units; None: all that is left of one payment intent. The same `key` is the same refund. Raises
    what `refund.refund` raises.
    """
    with transaction.atomic():
        payment = record.lock(payment_id)
        if waiting := WaitingRefund.objects.filter(key=key).first():
            return waiting
        # A repetition is the same refund: it must not count against the limit twice.
        names = {"api_key": "", "idempotency_key": key}
        if not RefundRequest.objects.filter(**names, abandoned_at=None).exists():
            intent_id, minor_units = refundable.choose(payment, amount=amount, intent_id=None)
            if needs_second_person(payment, amount=minor_units):
                return WaitingRefund.objects.create(
                    payment=payment, payment_intent_id=intent_id, amount=minor_units, key=key, requested_by=by
                )
        # Under the same lock: of two refunds at once, the second is asked about the first.
        request = refund.reserve(payment_id=payment_id, amount=amount, intent_id=None, key=names)
    return request if request.refund_id else refund.complete(request, cause=StatusChange.Cause.STAFF)


def decide(*, waiting_id: int, is_approved: bool, by: Any) -> WaitingRefund:
    """Approve or refuse a refund that waits. An approved one that Stripe has not made can be approved again.

    Raises WaitingRefund.DoesNotExist, NotApprovable, and what `refund.refund` raises: then it stays approved.
    """
    with transaction.atomic():
        waiting = WaitingRefund.objects.select_for_update().get(pk=waiting_id)
        if waiting.requested_by_id == by.pk and is_approved:
            raise NotApprovable("Whoever asked for a refund cannot approve it: let another person do so.")
        if waiting.is_approved is not None and waiting.is_approved != is_approved:
            raise NotApprovable("This refund is decided already.")
        if waiting.is_approved is None:
            waiting.is_approved, waiting.decided_by, waiting.decided_at = is_approved, by, timezone.now()
            waiting.save()
    # After the commit: Stripe's answer can take seconds, and no lock is held meanwhile.
    if is_approved:
        refund.refund(
            payment_id=waiting.payment_id,
            amount=waiting.amount,
            payment_intent_id=waiting.payment_intent_id,
            idempotency_key=waiting.key,
            cause=StatusChange.Cause.STAFF,
        )
    return waiting

"""Note on refunds that were asked for here which of Stripe's they are, should Stripe's answer have got lost."""

from collections.abc import Iterable

from payments.models import RefundRequest
from payments.record import Update

_DIGITS_MAX = 18
"""Of a number that this service gave to a refund."""


def answered(updates: Iterable[Update]) -> list[RefundRequest]:
    """Return what events say of requests: the number, amount and payment of each, and Stripe's id and status.

    A database that was restored gives numbers out again: only a request with all three is the one that is meant.
    """
    found: dict[tuple[object, ...], RefundRequest] = {}
    for update in updates:
        obj = update.event.content["data"]["object"] if update.event else {}
        number = str((obj.get("metadata") or {}).get("refund_request", ""))
        # The text is whatever stands in the metadata: a longer number would not fit into the key's 64 bits.
        if not number.isdecimal() or len(number) > _DIGITS_MAX:
            continue
        # As the facts have it: bounded to what can be stored.
        for refund_id, made in update.facts.get("refunds", {}).items():
            request = RefundRequest(
                pk=int(number),
                payment=update.payment,
                amount=made["amount"],
                refund_id=refund_id,
                refund_status=made["status"][:20],
            )
            found.setdefault((request.pk, request.payment_id, request.amount), request)
    return list(found.values())

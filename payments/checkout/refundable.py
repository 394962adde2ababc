"""Choose the payment intent that a refund goes to, and how much of it can be refunded."""

from collections import Counter

from payments.balances import balances
from payments.models import Payment
from payments.status import Status


class NotRefundable(Exception):
    """The payment has nothing left to refund, or less than the request asks for."""


def choose(payment: Payment, *, amount: int | None, intent_id: str | None) -> tuple[str, int]:
    """Return the payment intent to refund, and the amount in minor units. The caller has locked the payment.

    Without `intent_id`, choose the intent with the most left; without `amount`, all that is left of it. Refunds that
    Stripe has not answered count as made, because it may have made them. Raises NotRefundable.
    """
    # An intent without a name is one that a session did not name: Stripe cannot be asked to refund it.
    left = {each: balance.left for each, balance in balances(payment.facts).items() if each and balance.left}
    if not left and payment.status in {Status.DISPUTED, Status.CHARGED_BACK}:
        raise NotRefundable(
            f"The payment is {payment.status}: the customer's bank decides where the money goes."
        )
    if not left:
        raise NotRefundable(f"The payment is {payment.status}: only a paid payment can be refunded.")
    if intent_id is not None and intent_id not in left:
        known = " or ".join(left)
        raise NotRefundable(f"Send {known} as paymentIntentId, or leave it out: no other has money left.")
    under_way = _under_way(payment)
    free = {each: left[each] - under_way[each] for each in ([intent_id] if intent_id else left)}
    chosen = max(free, key=lambda each: free[each])
    # At least 1, so that "all that is left" of nothing is refused.
    wanted = max(free[chosen], 1) if amount is None else amount
    if wanted > free[chosen]:
        raise NotRefundable(_too_much(left=left[chosen], under_way=under_way[chosen]))
    return chosen, wanted


def _under_way(payment: Payment) -> Counter[str]:
    """Return the amounts of unanswered refunds by payment intent, in minor units."""
    under_way: Counter[str] = Counter()
    for request in payment.refund_requests.filter(refund_id="", abandoned_at=None):
        under_way[request.payment_intent_id] += request.amount
    return under_way


def _too_much(*, left: int, under_way: int) -> str:
    known = f"{left} minor units are not refunded yet"
    if under_way:
        known += f", and refunds of {under_way} of them are under way"
    if left > under_way:
        return f"Send an amount of at most {left - under_way}: {known}."
    return f"Wait for the refunds that are under way, or send their requests again: {known}."

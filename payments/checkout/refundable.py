"""Choose the payment intent that a refund goes to, and how much of it can be refunded."""

from collections import Counter
from collections.abc import Mapping

from payments.balances import Balance, balances
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
    books = balances(payment.facts)
    left = {each: book.left for each, book in books.items() if each and book.left}
    if not left:
        raise NotRefundable(f"The payment is {payment.status}: {_nothing_left(payment, books)}")
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


def _nothing_left(payment: Payment, books: Mapping[str, Balance]) -> str:
    """Say why nothing of a payment can go back."""
    if payment.status in {Status.DISPUTED, Status.CHARGED_BACK}:
        return "the customer's bank decides where the money goes."
    if not books:
        return "only a paid payment can be refunded."
    if any(book.left or book.is_blocked for book in books.values()):
        return "refund it in Stripe's dashboard. How much is left of which payment intent is not known here."
    if under_way := sum(book.under_way for book in books.values()):
        return f"nothing else is left. Wait for the refunds that are under way: {under_way} minor units."
    return "nothing is left that could go back."


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

"""Choose what is shown of a payment: of its failures, disputes, refunds and charges."""

from payments.balances import balances, stage_of
from payments.facts import Charge, Dispute, Facts, Failure, Refund, read_money
from payments.status import is_failed
from payments.stripe.states import Stage


class ShownDispute(Dispute):
    """A dispute with its id, and with the currency of the payment where it names none."""

    id: str


class ShownRefund(Refund):
    """A refund with its id and its currency."""

    id: str
    currency: str


def failure(facts: Facts) -> Failure | None:
    """Return why the last attempt to pay failed, while nothing better came of the payment.

    None where a later attempt is under way, where any money was paid, and where Stripe did not say why.
    """
    return facts.get("failure") if is_failed(facts) else None


def disputes(facts: Facts) -> list[ShownDispute]:
    """Return each dispute, in the order of their ids."""
    return [
        {**found, "id": name, "currency": found["currency"] or _currency(facts, found["intent"])}
        for name, found in sorted(facts.get("disputes", {}).items())
    ]


def dispute(facts: Facts) -> ShownDispute | None:
    """Return the dispute to look at: the open one that is due first, else the latest."""
    known = disputes(facts)
    if pending := [each for each in known if is_open(each)]:
        # One without a due date comes after all that have one.
        return min(pending, key=lambda each: each["due_by"] or 2**32)
    return max(known, key=lambda each: (_last_moved(each), each["due_by"], each["id"]), default=None)


def is_open(dispute: Dispute) -> bool:
    """Return whether a dispute, or an inquiry, is still to be decided. An unknown state counts as open."""
    # A closed inquiry has the stage of an open one, because it can still become a dispute.
    undecided = {Stage.INQUIRY, Stage.OPEN, Stage.UNKNOWN}
    return stage_of(dispute) in undecided and dispute["status"] != "warning_closed"


def refunds(facts: Facts) -> list[ShownRefund]:
    """Return each refund, in the order of their ids."""
    return [
        {**made, "id": name, "currency": _currency(facts, made["intent"])}
        for name, made in sorted(facts.get("refunds", {}).items())
    ]


def charge(facts: Facts, *, intent_id: str | None) -> Charge | None:
    """Return the charge that paid: of this payment intent where one is known, else the latest."""
    charges = facts.get("charges", {}).values()
    return max(charges, key=lambda made: (made["intent"] == intent_id, made["at"]), default=None)


def card(facts: Facts, *, intent_id: str | None) -> Charge | None:
    """Return the same if a card paid."""
    made = charge(facts, intent_id=intent_id)
    return made if made and made["last4"] and made["brand"] else None


def _currency(facts: Facts, intent_id: str) -> str:
    """Return the currency that an intent was paid in; of one that is not known to be, that which was asked for."""
    book = balances(facts).get(intent_id)
    return book.currency if book else read_money(facts["asked"])[1]


def _last_moved(dispute: Dispute) -> int:
    return max((movement["at"] for movement in dispute["movements"].values()), default=0)

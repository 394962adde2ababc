"""Choose what is shown of a payment: of its failures, disputes, refunds and charges."""

from payments.balances import balances
from payments.facts import Charge, Dispute, Facts, Failure, Refund, read_money
from payments.status import is_failed
from payments.stripe.states import BLOCKED, DISPUTE_STAGES, RESOLVED, Stage

CLOSED_INQUIRY = "warning_closed"


def failure(facts: Facts) -> Failure | None:
    """Return why the last attempt to pay failed, while nothing better came of the payment.

    None where a later attempt is under way, where any money was paid, and where Stripe did not say why.
    """
    return facts.get("failure") if is_failed(facts) else None


def disputes(facts: Facts) -> list[tuple[str, Dispute, str]]:
    """Return the id, the snapshot and the currency of each dispute, in the order of their ids."""
    known = sorted(facts.get("disputes", {}).items())
    return [(name, found, found["currency"] or _currency(facts, found["intent"])) for name, found in known]


def dispute(facts: Facts) -> tuple[str, Dispute, str] | None:
    """Return the same of the dispute to look at: the open one that is due first, else the latest."""
    known = disputes(facts)
    if pending := [row for row in known if is_open(row[1])]:
        return min(pending, key=lambda row: row[1]["due_by"] or 2**32)
    return max(known, key=lambda row: (_last_moved(row[1]), row[1]["due_by"], row[0]), default=None)


def _currency(facts: Facts, intent_id: str) -> str:
    """Return the currency that an intent was paid in; of one that is not known to be, that which was asked for."""
    book = balances(facts).get(intent_id)
    return book.currency if book else read_money(facts["asked"])[1]


def is_open(dispute: Dispute) -> bool:
    """Tell whether a dispute, or an inquiry, is still to be decided. An unknown state counts as open."""
    stage = DISPUTE_STAGES.get(dispute["status"], Stage.UNKNOWN)
    if stage is Stage.PREVENTED:
        return dispute["case_type"] not in {BLOCKED, RESOLVED}
    return stage in {Stage.INQUIRY, Stage.OPEN, Stage.UNKNOWN} and dispute["status"] != CLOSED_INQUIRY


def refunds(facts: Facts) -> list[tuple[str, Refund, str]]:
    """Return the id, the snapshot and the currency of each refund, in the order of their ids."""
    made = sorted(facts.get("refunds", {}).items())
    return [(refund_id, refund, _currency(facts, refund["intent"])) for refund_id, refund in made]


def charge(facts: Facts, *, intent_id: str | None) -> Charge | None:
    """Return the charge that paid: of this payment intent where one is known, else the latest."""
    charges = facts.get("charges", {}).values()
    return max(charges, key=lambda made: (made["intent"] == intent_id, made["at"]), default=None)


def _last_moved(dispute: Dispute) -> int:
    return max((movement["at"] for movement in dispute["movements"].values()), default=0)

"""Tables of a payment's page: its money by payment intent, disputes, and refunds."""

from collections.abc import Iterator

from django.utils.html import format_html

from notifications.readonly_admin import instant
from payments import shown
from payments.admin.entries import moment
from payments.admin.fact_entries import read_movement
from payments.admin.labels import label
from payments.admin.tables import NOTHING, Cell, Table
from payments.balances import Balance, balances
from payments.facts import Facts
from payments.models import Payment
from payments.stripe.currencies import format_amount
from payments.stripe.states import REFUND_STAGES, Stage

_REFUND_TONES = {Stage.OPEN: "info", Stage.GONE: "success", Stage.BACK: "danger"}


def tables(payment: Payment) -> list[Table]:
    """Return the tables. Read the payment's `intents`."""
    facts = payment.facts
    return [_by_intent(payment), _disputes(facts), _movements(facts), _refunds(facts)]


def intent_ids(payment: Payment) -> list[str]:
    """Return the ids of a payment's intents: first the one that paid first."""
    known = {intent.intent_id for intent in payment.intents.all()} | balances(payment.facts).keys()
    first = payment.payment_intent_id or ""
    return list(filter(None, [first, *sorted(known - {first})]))


def _by_intent(payment: Payment) -> Table:
    books = balances(payment.facts)
    return Table(
        title="Money by payment intent",
        headers=(
            "Payment intent",
            "Paid",
            "Refunded",
            "Pending refunds",
            "Withdrawn by disputes",
            "Disputed",
            "Left",
        ),
        rows=[
            (intent_id or "unknown", *_sums(payment.facts, intent_id, books.get(intent_id)))
            for intent_id in [*intent_ids(payment), *([""] if "" in books else [])]
        ],
    )


def _sums(facts: Facts, intent_id: str, book: Balance | None) -> Iterator[Cell]:
    if book is None:
        yield from ["nothing", *[NOTHING] * 5]
        return
    paid = format_amount(book.paid, book.currency)
    if intent_id not in facts.get("paid", {}):
        yield format_html("{} {}", paid, label("not confirmed yet", tone="warning"))
    elif not book.is_full:
        yield format_html("{} {}", paid, label("another sum", tone="danger"))
    else:
        yield paid
    for amount in (book.refunded, book.under_way, book.withdrawn, book.disputed):
        yield format_amount(amount, book.currency) if amount else NOTHING
    yield format_amount(book.here, book.currency)


def _refunds(facts: Facts) -> Table:
    return Table(
        title="Refunds",
        headers=("Refund", "Amount", "State", "Payment intent"),
        rows=[
            (
                refund_id,
                format_amount(refund["amount"], currency),
                label(
                    refund["status"],
                    tone=_REFUND_TONES.get(REFUND_STAGES.get(refund["status"], Stage.UNKNOWN), "warning"),
                ),
                refund["intent"] or NOTHING,
            )
            for refund_id, refund, currency in shown.refunds(facts)
        ],
    )


def _disputes(facts: Facts) -> Table:
    return Table(
        title="Disputes",
        headers=("Dispute", "Amount", "State", "Reason", "Evidence due (UTC)", "Payment intent"),
        rows=[
            (
                dispute_id,
                format_amount(dispute["amount"], currency),
                label(dispute["status"], tone="danger" if shown.is_open(dispute) else ""),
                dispute["reason"] or NOTHING,
                instant(moment(dispute["due_by"])) or NOTHING,
                dispute["intent"] or NOTHING,
            )
            for dispute_id, dispute, currency in shown.disputes(facts)
        ],
    )


def _movements(facts: Facts) -> Table:
    moved = [
        (movement["at"], transaction_id, dispute_id, movement)
        for dispute_id, dispute, _ in shown.disputes(facts)
        for transaction_id, movement in dispute["movements"].items()
    ]
    return Table(
        title="Balance transactions of disputes",
        headers=("When (UTC)", "Moved", "Fee", "Balance transaction", "Dispute"),
        rows=[
            (
                instant(moment(at)) or NOTHING,
                read_movement(movement)[0],
                format_amount(movement["fee"], movement["currency"]) if movement["fee"] else NOTHING,
                transaction_id,
                dispute_id,
            )
            for at, transaction_id, dispute_id, movement in sorted(moved, key=lambda row: row[:2])
        ],
    )

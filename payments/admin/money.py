"""Rows of a payment's tables: its money by payment intent, disputes, and refunds."""

from collections.abc import Iterator

from django.utils.html import format_html

from database.readonly_admin import instant
from payments import shown
from payments.admin.entries import moment
from payments.admin.fact_entries import read_movement
from payments.admin.labels import label
from payments.balances import Balance, balances
from payments.facts import Facts
from payments.models import Payment
from payments.stripe.currencies import format_amount
from payments.stripe.states import REFUND_STAGES, Stage

_REFUND_TONES = {Stage.OPEN: "info", Stage.GONE: "success", Stage.BACK: "danger"}


def intent_ids(payment: Payment) -> list[str]:
    """Return the ids of a payment's intents: first the one that paid first."""
    known = {intent.intent_id for intent in payment.intents.all()} | balances(payment.facts).keys()
    first = payment.payment_intent_id or ""
    return list(filter(None, [first, *sorted(known - {first})]))


def by_intent(payment: Payment) -> Iterator[tuple[str, ...]]:
    """Yield the money of each payment intent; without an id, that of a session that named none."""
    books = balances(payment.facts)
    for intent_id in [*intent_ids(payment), *([""] if "" in books else [])]:
        yield (intent_id or "unknown", *_sums(payment.facts, intent_id, books.get(intent_id)))


def _sums(facts: Facts, intent_id: str, book: Balance | None) -> Iterator[str]:
    if book is None:
        yield from ["nothing", *[""] * 5]
        return
    paid = format_amount(book.paid, book.currency)
    if intent_id not in facts.get("paid", {}):
        yield format_html("{} {}", paid, label("not confirmed yet", tone="warning"))
    elif not book.is_full:
        yield format_html("{} {}", paid, label("another sum", tone="danger"))
    else:
        yield paid
    for amount in (book.refunded, book.under_way, book.withdrawn, book.disputed):
        yield format_amount(amount, book.currency) if amount else ""
    yield format_amount(book.here, book.currency)


def refunds(payment: Payment) -> Iterator[tuple[str, ...]]:
    """Yield each refund, in the order of their ids."""
    for refund_id, refund, currency in shown.refunds(payment.facts):
        stage = REFUND_STAGES.get(refund["status"], Stage.UNKNOWN)
        state = label(refund["status"], tone=_REFUND_TONES.get(stage, "warning"))
        yield refund_id, format_amount(refund["amount"], currency), state, refund["intent"]


def disputes(payment: Payment) -> Iterator[tuple[str, ...]]:
    """Yield each dispute, in the order of their ids."""
    for dispute_id, dispute, currency in shown.disputes(payment.facts):
        yield (
            dispute_id,
            format_amount(dispute["amount"], currency),
            label(dispute["status"], tone="danger" if shown.is_open(dispute) else ""),
            dispute["reason"],
            instant(moment(dispute["due_by"])),
            dispute["intent"],
        )


def movements(payment: Payment) -> Iterator[tuple[str, ...]]:
    """Yield each balance transaction of disputes, oldest first."""
    moved = [
        (movement["at"], transaction_id, dispute_id, movement)
        for dispute_id, dispute, _ in shown.disputes(payment.facts)
        for transaction_id, movement in dispute["movements"].items()
    ]
    for at, transaction_id, dispute_id, movement in sorted(moved, key=lambda row: row[:2]):
        fee = format_amount(movement["fee"], movement["currency"]) if movement["fee"] else ""
        yield instant(moment(at)), read_movement(movement)[0], fee, transaction_id, dispute_id

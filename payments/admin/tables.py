"""Tables of a payment's page: its money by payment intent, disputes, refunds, declines, payment methods, warnings."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from django.utils.html import format_html

from database.readonly_admin import instant
from payments import shown
from payments.admin.texts import label, moment, read_movement, read_payment_method
from payments.balances import balances
from payments.models import Payment
from payments.stripe.currencies import format_amount
from payments.stripe.states import REFUND_STAGES, Stage

NOTHING = "-"
_REFUND_TONES = {Stage.OPEN: "info", Stage.GONE: "success", Stage.BACK: "danger"}
_RISK_TONES = {"normal": "success", "elevated": "warning", "highest": "danger"}

Row = tuple[str, ...]
Rows = Callable[[Payment], Iterator[Row]]
_tables: list[tuple[str, Row, Rows]] = []


class Table(NamedTuple):
    """A table, as unfold's template takes it."""

    title: str
    headers: Row
    rows: list[Row]


def build(payment: Payment) -> list[Table]:
    """Return the tables that have rows; an empty cell shows NOTHING. Read the payment's `intents`."""
    tables = [
        Table(title, headers, [tuple(cell or NOTHING for cell in row) for row in rows(payment)])
        for title, headers, rows in _tables
    ]
    return [table for table in tables if table.rows]


def intent_ids(payment: Payment) -> list[str]:
    """Return the ids of a payment's intents: first the one that paid first."""
    known = {intent.intent_id for intent in payment.intents.all()} | balances(payment.facts).keys()
    first = payment.payment_intent_id or ""
    return list(filter(None, [first, *sorted(known - {first})]))


def _table(title: str, *headers: str) -> Callable[[Rows], Rows]:
    """Return a decorator: what it decorates yields the rows of the next table."""

    def add(rows: Rows) -> Rows:
        _tables.append((title, headers, rows))
        return rows

    return add


@_table(
    "Money by payment intent",
    *("Payment intent", "Paid", "Refunded", "Pending refunds", "Withdrawn by disputes", "Disputed", "Left"),
)
def _money(payment: Payment) -> Iterator[Row]:
    """Yield the money of each payment intent; without an id, that of a session that named none."""
    books = balances(payment.facts)
    for intent_id in [*intent_ids(payment), *([""] if "" in books else [])]:
        if (book := books.get(intent_id)) is None:
            yield intent_id, "nothing", *[""] * 5
            continue
        paid = format_amount(book.paid, book.currency)
        # A refund or a dispute proves that it was paid. The event that says so is still to come.
        if intent_id not in payment.facts.get("paid", {}):
            paid = format_html("{} {}", paid, label("not confirmed yet", tone="warning"))
        elif not book.is_full:
            paid = format_html("{} {}", paid, label("another sum", tone="danger"))
        gone = (book.refunded, book.under_way, book.withdrawn, book.disputed)
        sums = [format_amount(amount, book.currency) if amount else "" for amount in gone]
        yield intent_id or "unknown", paid, *sums, format_amount(book.here, book.currency)


@_table("Disputes", "Dispute", "Amount", "State", "Reason", "Evidence due (UTC)", "Payment intent")
def _disputes(payment: Payment) -> Iterator[Row]:
    for dispute in shown.disputes(payment.facts):
        amount = format_amount(dispute["amount"], dispute["currency"])
        state = label(dispute["status"], tone="danger" if shown.is_open(dispute) else "")
        due_by = instant(moment(dispute["due_by"]))
        yield dispute["id"], amount, state, dispute["reason"], due_by, dispute["intent"]


@_table("Balance transactions of disputes", "When (UTC)", "Moved", "Fee", "Balance transaction", "Dispute")
def _movements(payment: Payment) -> Iterator[Row]:
    moved = [
        (movement["at"], transaction_id, dispute_id, movement)
        for dispute_id, dispute in payment.facts.get("disputes", {}).items()
        for transaction_id, movement in dispute["movements"].items()
    ]
    for at, transaction_id, dispute_id, movement in sorted(moved, key=lambda row: row[:2]):
        fee = format_amount(movement["fee"], movement["currency"]) if movement["fee"] else ""
        yield instant(moment(at)), read_movement(movement)[0], fee, transaction_id, dispute_id


@_table("Refunds", "Refund", "Amount", "State", "Payment intent")
def _refunds(payment: Payment) -> Iterator[Row]:
    for refund in shown.refunds(payment.facts):
        stage = REFUND_STAGES.get(refund["status"], Stage.UNKNOWN)
        state = label(refund["status"], tone=_REFUND_TONES.get(stage, "warning"))
        amount = format_amount(refund["amount"], refund["currency"])
        yield refund["id"], amount, state, refund["intent"]


@_table("Last attempt that failed", "When (UTC)", "Code", "Decline code", "Advice", "Message")
def _failure(payment: Payment) -> Iterator[Row]:
    if last := payment.facts.get("failure"):
        codes = (last["code"], last["decline_code"], last["advice_code"])
        yield instant(moment(last["at"])), *codes, last["message"]


@_table("Paid with", "Charge", "Payment method", "Risk", "Receipt", "Payment intent")
def _charges(payment: Payment) -> Iterator[Row]:
    known = payment.facts.get("charges", {})
    for charge_id, charge in sorted(known.items(), key=lambda item: (item[1]["at"], item[0])):
        risk = charge["risk_level"]
        shown_risk = label(risk, tone=_RISK_TONES.get(risk, "")) if risk else ""
        receipt = _receipt(charge["receipt_url"])
        yield charge_id, read_payment_method(charge), shown_risk, receipt, charge["intent"]


def _receipt(url: str) -> str:
    """Return a link to the receipt, for staff only: the link is enough to open it. It sends Stripe no referrer."""
    if not url.startswith("https://"):
        return ""
    return format_html(
        '<a class="text-link" href="{}" target="_blank" rel="noreferrer">open at Stripe</a>', url
    )


@_table("Early fraud warnings", "Updated (UTC)", "Warning", "Reason", "Can a refund prevent a dispute?")
def _warnings(payment: Payment) -> Iterator[Row]:
    for warning_id, warning in payment.facts.get("warnings", {}).items():
        helps = label("yes", tone="danger") if warning["actionable"] else "no"
        yield instant(moment(warning["at"])), warning_id, warning["fraud_type"], helps


@_table("Reviews by Stripe", "Updated (UTC)", "Review", "State", "Reason")
def _reviews(payment: Payment) -> Iterator[Row]:
    for review_id, review in payment.facts.get("reviews", {}).items():
        state = label("open", tone="warning") if review["open"] else "closed"
        yield instant(moment(review["at"])), review_id, state, review["reason"]


@_table("Values of Stripe's that this service does not know", "First seen (UTC)", "Value")
def _unknown(payment: Payment) -> Iterator[Row]:
    for value, at in payment.facts.get("unknown", {}).items():
        yield instant(moment(at)), value

"""Tables of a payment's page, as data: their titles, their columns, and what reads their rows."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.utils.safestring import SafeString

from payments.admin import details, money
from payments.models import Payment

NOTHING = "-"

Row = tuple[str | SafeString, ...]
_TABLES: tuple[tuple[Callable[[Payment], Iterable[Row]], str, tuple[str, ...]], ...] = (
    (
        money.by_intent,
        "Money by payment intent",
        (
            "Payment intent",
            "Paid",
            "Refunded",
            "Pending refunds",
            "Withdrawn by disputes",
            "Disputed",
            "Left",
        ),
    ),
    (
        money.disputes,
        "Disputes",
        ("Dispute", "Amount", "State", "Reason", "Evidence due (UTC)", "Payment intent"),
    ),
    (
        money.movements,
        "Balance transactions of disputes",
        ("When (UTC)", "Moved", "Fee", "Balance transaction", "Dispute"),
    ),
    (money.refunds, "Refunds", ("Refund", "Amount", "State", "Payment intent")),
    (
        details.failure,
        "Last attempt that failed",
        ("When (UTC)", "Code", "Decline code", "Advice", "Message"),
    ),
    (details.charges, "Paid with", ("Charge", "Payment method", "Risk", "Receipt", "Payment intent")),
    (
        details.warnings,
        "Early fraud warnings",
        ("Updated (UTC)", "Warning", "Reason", "Can a refund prevent a dispute?"),
    ),
    (details.reviews, "Reviews by Stripe", ("Updated (UTC)", "Review", "State", "Reason")),
    (
        details.unknown,
        "Values of Stripe's that this service does not know",
        ("First seen (UTC)", "Value"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, as its template takes it."""

    title: str
    headers: tuple[str, ...]
    rows: list[Row]


def build(payment: Payment) -> list[Table]:
    """Return the tables that have rows; an empty cell shows NOTHING. Read the payment's `intents`."""
    tables = [
        Table(
            title=title,
            headers=headers,
            rows=[tuple(cell or NOTHING for cell in row) for row in read(payment)],
        )
        for read, title, headers in _TABLES
    ]
    return [table for table in tables if table.rows]

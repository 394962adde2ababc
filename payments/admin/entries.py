"""Entries of a payment's time line, and the texts in them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from payments.facts import Charge, Dispute, read_money
from payments.stripe.currencies import format_amount


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of the time line. `at` is None if only its place in the order is known."""

    kind: str
    """`payment`, `fact`, `event`, `change` or `notification`."""
    at: datetime | None
    title: str
    detail: str = ""
    url: str = ""
    tone: str = ""


def moment(at: int) -> datetime | None:
    """Return a time from Stripe's seconds since 1970 (UTC); None for 0, which means unknown."""
    return datetime.fromtimestamp(at, tz=UTC) if at else None


def read_sum(text: str) -> str:
    """Return an amount of the facts, such as `1250 usd`, as text for people."""
    return format_amount(*read_money(text))


def read_payment_method(charge: Charge) -> str:
    """Return a charge's payment method, such as `visa ···· 4242, apple_pay`."""
    digits = f"···· {charge['last4']}" if charge["last4"] else ""
    name = " ".join(filter(None, [charge["brand"] or charge["kind"], digits]))
    return ", ".join(filter(None, [name, charge["wallet"]]))


def read_dispute(dispute: Dispute, currency: str) -> str:
    """Return a dispute's amount and reason, such as `5.00 USD, fraudulent`. `currency`: if the dispute has none."""
    amount = format_amount(dispute["amount"], dispute["currency"] or currency)
    return ", ".join(filter(None, [amount, dispute["reason"]]))


def joined(*parts: str) -> str:
    """Return the parts that are not empty, with dots between them."""
    return " · ".join(filter(None, parts))

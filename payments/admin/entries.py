"""A line of a payment's story, and the words in it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from payments.facts import Charge, Dispute, read_money
from payments.stripe.currencies import format_amount


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the story. `at` is None where only the place in the order is known, not the time."""

    kind: str
    """`payment`, `fact`, `event`, `change` or `notification`."""
    at: datetime | None
    title: str
    detail: str = ""
    url: str = ""
    tone: str = ""


def moment(at: int) -> datetime | None:
    """Return a time of Stripe's (seconds since 1970, UTC); None where Stripe did not say it."""
    return datetime.fromtimestamp(at, tz=UTC) if at else None


def read_sum(text: str) -> str:
    """Return a sum of the facts, such as `1250 usd`, as a person reads it."""
    return format_amount(*read_money(text))


def read_means(charge: Charge) -> str:
    """Return how a charge was paid, such as `visa ···· 4242, apple_pay`."""
    digits = f"···· {charge['last4']}" if charge["last4"] else ""
    name = " ".join(filter(None, [charge["brand"] or charge["kind"], digits]))
    return ", ".join(filter(None, [name, charge["wallet"]]))


def read_dispute(dispute: Dispute, currency: str) -> str:
    """Return what is disputed, such as `5.00 USD, fraudulent`; `currency` where the dispute names none."""
    amount = format_amount(dispute["amount"], dispute["currency"] or currency)
    return ", ".join(filter(None, [amount, dispute["reason"]]))


def joined(*parts: str) -> str:
    """Return the parts that say something, apart from each other."""
    return " · ".join(filter(None, parts))

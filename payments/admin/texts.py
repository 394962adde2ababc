"""Texts of the admin's pages."""

from datetime import UTC, datetime

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from payments.facts import Charge, Movement, read_money
from payments.stripe.currencies import format_amount


def label(text: str, *, tone: str = "") -> SafeString:
    """Return a coloured label; tones are `success`, `info`, `warning`, `danger` and none."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": tone})


def moment(at: int) -> datetime | None:
    """Return a time from Stripe's seconds since 1970 (UTC); None for 0, which means unknown."""
    return datetime.fromtimestamp(at, tz=UTC) if at else None


def joined(*parts: str) -> str:
    """Return the parts that are not empty, with dots between them."""
    return " · ".join(filter(None, parts))


def times(count: int) -> str:
    """Return `once` or `2 times`."""
    return "once" if count == 1 else f"{count} times"


def read_sum(text: str) -> str:
    """Return an amount of the facts, such as `1250 usd`, as text for people."""
    return format_amount(*read_money(text))


def read_payment_method(charge: Charge) -> str:
    """Return a charge's payment method, such as `visa ···· 4242, apple_pay`."""
    digits = f"···· {charge['last4']}" if charge["last4"] else ""
    name = " ".join(filter(None, [charge["brand"] or charge["kind"], digits]))
    return ", ".join(filter(None, [name, charge["wallet"]]))


def read_movement(movement: Movement) -> tuple[str, str]:
    """Return a dispute's balance transaction as text, such as `5.00 USD withdrawn`, and its tone."""
    amount = format_amount(abs(movement["amount"]), movement["currency"])
    is_withdrawn = movement["amount"] < 0
    return (f"{amount} withdrawn", "danger") if is_withdrawn else (f"{amount} reinstated", "success")

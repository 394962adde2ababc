"""Rows of a payment's tables: declines, payment methods, warnings, reviews, unknown values."""

from collections.abc import Iterator

from django.utils.html import format_html

from database.readonly_admin import instant
from payments.admin.entries import moment, read_payment_method
from payments.admin.labels import label
from payments.models import Payment

_RISK_TONES = {"normal": "success", "elevated": "warning", "highest": "danger"}


def failure(payment: Payment) -> Iterator[tuple[str, ...]]:
    """Yield the last attempt that failed, if one did."""
    if last := payment.facts.get("failure"):
        yield (
            instant(moment(last["at"])),
            last["code"],
            last["decline_code"],
            last["advice_code"],
            last["message"],
        )


def charges(payment: Payment) -> Iterator[tuple[str, ...]]:
    """Yield each charge that paid, oldest first."""
    known = payment.facts.get("charges", {})
    for charge_id, charge in sorted(known.items(), key=lambda item: (item[1]["at"], item[0])):
        risk = charge["risk_level"]
        yield (
            charge_id,
            read_payment_method(charge),
            label(risk, tone=_RISK_TONES.get(risk, "")) if risk else "",
            _receipt(charge["receipt_url"]),
            charge["intent"],
        )


def _receipt(url: str) -> str:
    """Return a link to the receipt, for staff only: the link is enough to open it. It sends Stripe no referrer."""
    if not url.startswith("https://"):
        return ""
    return format_html(
        '<a class="text-link" href="{}" target="_blank" rel="noreferrer">open at Stripe</a>', url
    )


def warnings(payment: Payment) -> Iterator[tuple[str, ...]]:
    """Yield each early fraud warning."""
    for warning_id, warning in payment.facts.get("warnings", {}).items():
        helps = label("yes", tone="danger") if warning["actionable"] else "no"
        yield instant(moment(warning["at"])), warning_id, warning["fraud_type"], helps


def reviews(payment: Payment) -> Iterator[tuple[str, ...]]:
    """Yield each review."""
    for review_id, review in payment.facts.get("reviews", {}).items():
        state = label("open", tone="warning") if review["open"] else "closed"
        yield instant(moment(review["at"])), review_id, state, review["reason"]


def unknown(payment: Payment) -> Iterator[tuple[str, ...]]:
    """Yield each value that no table of this service has."""
    for value, at in payment.facts.get("unknown", {}).items():
        yield instant(moment(at)), value

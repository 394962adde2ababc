"""Tables of a payment's page: declines, payment methods, warnings, reviews, unknown values."""

from django.utils.html import format_html

from notifications.readonly_admin import instant
from payments.admin.entries import moment, read_payment_method
from payments.admin.labels import label
from payments.admin.tables import NOTHING, Cell, Table
from payments.facts import Facts

_RISK_TONES = {"normal": "success", "elevated": "warning", "highest": "danger"}


def tables(facts: Facts) -> list[Table]:
    """Return the tables of these facts."""
    return [_failure(facts), _payment_methods(facts), _warnings(facts), _reviews(facts), _unknown(facts)]


def _failure(facts: Facts) -> Table:
    failure = facts.get("failure")
    return Table(
        title="Last attempt that failed",
        headers=("When (UTC)", "Code", "Decline code", "Advice", "Message"),
        rows=[
            (
                instant(moment(failure["at"])),
                failure["code"] or NOTHING,
                failure["decline_code"] or NOTHING,
                failure["advice_code"] or NOTHING,
                failure["message"] or NOTHING,
            )
        ]
        if failure
        else [],
    )


def _payment_methods(facts: Facts) -> Table:
    charges = sorted(facts.get("charges", {}).items(), key=lambda item: (item[1]["at"], item[0]))
    return Table(
        title="Paid with",
        headers=("Charge", "Payment method", "Risk", "Receipt", "Payment intent"),
        rows=[
            (
                charge_id,
                read_payment_method(charge),
                _risk(charge["risk_level"]),
                _receipt(charge["receipt_url"]),
                charge["intent"] or NOTHING,
            )
            for charge_id, charge in charges
        ],
    )


def _risk(level: str) -> Cell:
    tone = _RISK_TONES.get(level, "")
    return label(level, tone=tone) if level else NOTHING


def _receipt(url: str) -> Cell:
    """Return a link to the receipt, for staff only: the link is enough to open it. It sends Stripe no referrer."""
    if not url.startswith("https://"):
        return NOTHING
    return format_html(
        '<a class="text-link" href="{}" target="_blank" rel="noreferrer">open at Stripe</a>', url
    )


def _warnings(facts: Facts) -> Table:
    return Table(
        title="Early fraud warnings",
        headers=("Updated (UTC)", "Warning", "Reason", "Can a refund prevent a dispute?"),
        rows=[
            (
                instant(moment(warning["at"])),
                warning_id,
                warning["fraud_type"] or NOTHING,
                label("yes", tone="danger") if warning["actionable"] else "no",
            )
            for warning_id, warning in facts.get("warnings", {}).items()
        ],
    )


def _reviews(facts: Facts) -> Table:
    return Table(
        title="Reviews by Stripe",
        headers=("Updated (UTC)", "Review", "State", "Reason"),
        rows=[
            (
                instant(moment(review["at"])),
                review_id,
                label("open", tone="warning") if review["open"] else "closed",
                review["reason"] or NOTHING,
            )
            for review_id, review in facts.get("reviews", {}).items()
        ],
    )


def _unknown(facts: Facts) -> Table:
    return Table(
        title="Values of Stripe's that this service does not know",
        headers=("First seen (UTC)", "Value"),
        rows=[(instant(moment(at)), value) for value, at in facts.get("unknown", {}).items()],
    )

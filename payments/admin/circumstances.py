"""How a payment was paid or declined, and what Stripe noted about it, as tables of its page."""

from django.utils.html import format_html

from notifications.readonly_admin import instant
from payments.admin.entries import moment, read_means
from payments.admin.labels import label
from payments.admin.tables import NOTHING, Cell, Table
from payments.facts import Facts

_RISK_TONES = {"normal": "success", "elevated": "warning", "highest": "danger"}


def tables(facts: Facts) -> list[Table]:
    """Return the tables."""
    return [_failure(facts), _means(facts), _warnings(facts), _reviews(facts), _unknown(facts)]


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


def _means(facts: Facts) -> Table:
    charges = sorted(facts.get("charges", {}).items(), key=lambda item: (item[1]["at"], item[0]))
    return Table(
        title="Paid with",
        headers=("Charge", "Means", "Risk", "Receipt", "Payment intent"),
        rows=[
            (
                charge_id,
                read_means(charge),
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
    """Return a link that tells Stripe nothing of this page. Who has it sees the receipt: it is for staff."""
    if not url.startswith("https://"):
        return NOTHING
    return format_html(
        '<a class="text-link" href="{}" target="_blank" rel="noreferrer">open at Stripe</a>', url
    )


def _warnings(facts: Facts) -> Table:
    return Table(
        title="Early fraud warnings",
        headers=("Last said (UTC)", "Warning", "Why", "Can a refund still prevent a dispute?"),
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
        headers=("Last said (UTC)", "Review", "State", "Reason"),
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

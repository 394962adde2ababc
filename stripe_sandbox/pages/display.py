"""Amounts, rides and states as text for people."""

import re

from payments.stripe.currencies import decimals
from stripe_sandbox.models import PaymentIntent, Session

_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "krw": "₩", "inr": "₹"}


def format_money(amount: int, currency: str) -> str:
    """Return minor units as text: `1250, "usd"` is `$12.50`, `500, "jpy"` is `¥500`, `100, "chf"` is `CHF 1.00`."""
    places = decimals(currency)
    sign = _SYMBOLS.get(currency, f"{currency.upper()} ")
    return f"{sign}{amount / 10**places:,.{places}f}"


def ride_of(session: Session) -> str:
    """Return the ride in the session's metadata (`ride_id`), unless an item's name has it already."""
    ride_id = (session.params.get("metadata") or {}).get("ride_id", "")
    whole = re.compile(rf"(?<![\w-]){re.escape(ride_id)}(?![\w-])")
    is_named = any(whole.search(item["description"]) for item in session.line_items)
    return f"Ride {ride_id}" if ride_id and not is_named else ""


def state_of(session: Session) -> str:
    """Return a session's state: open, expired, confirming (a delayed payment is under way), failed or paid."""
    if session.status != Session.Status.COMPLETE:
        return str(session.status)
    if session.payment_status != Session.PaymentStatus.UNPAID:
        return "paid"
    intent = session.payment_intent
    return "confirming" if intent and intent.status == PaymentIntent.Status.PROCESSING else "failed"

"""Render balance transactions: money that moves on the merchant's account at Stripe.

Source: https://docs.stripe.com/api/balance_transactions/object and
https://docs.stripe.com/reports/reporting-categories.
"""

from datetime import datetime
from typing import Any

from stripe_sandbox.ids import new_id
from stripe_sandbox.models import Charge, Dispute, Refund
from stripe_sandbox.timing import UNTIL_AVAILABLE, seconds

_DISPUTE_FEE = 1500
_FEE_PERCENT, _FEE_FIXED = 2.9, 30


def charged(charge: Charge, *, now: datetime) -> dict[str, Any]:
    """Return the balance transaction of a charge."""
    intent = charge.payment_intent
    # No fee is larger than the payment, also where the fixed part is.
    fee = min(intent.amount, round(intent.amount * _FEE_PERCENT / 100) + _FEE_FIXED)
    kind = "charge" if charge.payment_method_type == "card" else "payment"
    return _moved(
        charge,
        intent.amount,
        source=charge.stripe_id,
        fees=[_fee(fee, intent.currency, "Stripe processing fees")],
        description=intent.data.get("description"),
        kind=kind,
        category="charge",
        now=now,
        available=now + UNTIL_AVAILABLE,
    )


def refunded(refund: Refund, *, now: datetime) -> dict[str, Any]:
    """Return the balance transaction of a refund. Stripe keeps the charge's fee."""
    kind = "refund" if refund.charge.payment_method_type == "card" else "payment_refund"
    return _moved(
        refund.charge,
        -refund.amount,
        source=refund.stripe_id,
        description=f"REFUND FOR CHARGE ({refund.charge.stripe_id})",
        kind=kind,
        category="refund",
        now=now,
    )


def refund_failed(refund: Refund, *, now: datetime) -> dict[str, Any]:
    """Return the balance transaction of a refund that failed."""
    kind = "refund_failure" if refund.charge.payment_method_type == "card" else "payment_failure_refund"
    return _moved(
        refund.charge,
        refund.amount,
        source=refund.stripe_id,
        description=f"REFUND FAILURE ({refund.charge.stripe_id})",
        kind=kind,
        category="refund_failure",
        now=now,
    )


def withdrawn(dispute: Dispute, *, now: datetime) -> dict[str, Any]:
    """Return the balance transaction of a dispute, with its fee. A prevented dispute has none."""
    fee = 0 if dispute.status == Dispute.Status.PREVENTED else _DISPUTE_FEE
    return _disputed(dispute, -1, fee=fee, what="Chargeback withdrawal", category="dispute", now=now)


def reinstated(dispute: Dispute, *, now: datetime) -> dict[str, Any]:
    """Return what comes back, with the fee, after a dispute is won."""
    return _disputed(
        dispute, 1, fee=-_DISPUTE_FEE, what="Chargeback reversal", category="dispute_reversal", now=now
    )


def _disputed(
    dispute: Dispute, sign: int, *, fee: int, what: str, category: str, now: datetime
) -> dict[str, Any]:
    charge = dispute.charge
    return _moved(
        charge,
        sign * dispute.amount,
        source=dispute.stripe_id,
        fees=[_fee(fee, charge.payment_intent.currency, "Dispute fee")],
        description=f"{what} for {charge.stripe_id}",
        kind="adjustment",
        category=category,
        now=now,
    )


def _fee(amount: int, currency: str, description: str) -> dict[str, Any]:
    return {
        "amount": amount,
        "application": None,
        "currency": currency,
        "description": description,
        "type": "stripe_fee",
    }


def _moved(
    charge: Charge,
    amount: int,
    *,
    source: str,
    description: str | None,
    kind: str,
    category: str,
    now: datetime,
    fees: list[dict[str, Any]] | None = None,
    available: datetime | None = None,
) -> dict[str, Any]:
    details = [fee for fee in fees or [] if fee["amount"]]
    fee = sum(each["amount"] for each in details)
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": seconds(available or now),
        "balance_type": "payments",
        "created": seconds(now),
        "currency": charge.payment_intent.currency,
        "description": description,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": details,
        "net": amount - fee,
        "reporting_category": category,
        "source": source,
        "status": "pending" if available else "available",
        "type": kind,
    }

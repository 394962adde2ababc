"""Stripe's events of one payment, from which tests make its stories."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

from payments.models import Payment

_numbers = itertools.count(1)


def event(payment: Payment, type_: str, /, *, of: str = "", **fields: Any) -> dict[str, Any]:
    """Return a snapshot event; `of` names the refund, dispute or charge it is about."""
    number = next(_numbers)
    kind = type_.rsplit(".", 1)[0]
    intent = f"pi_{payment.pk.hex}"
    metadata = {"payment_id": str(payment.pk), "ride_id": payment.ride_id}
    objects: dict[str, dict[str, Any]] = {
        "checkout.session": {
            "id": payment.session_id or f"cs_test_{payment.pk.hex}",
            "object": "checkout.session",
            "client_reference_id": str(payment.pk),
            "metadata": metadata,
            "payment_intent": intent,
            "payment_status": "unpaid",
            "amount_total": payment.amount,
            "currency": payment.currency,
        },
        "payment_intent": {
            "id": intent,
            "object": "payment_intent",
            "metadata": metadata,
            "amount_received": payment.amount,
            "currency": payment.currency,
            "latest_charge": of or f"ch_{payment.pk.hex}",
        },
        "charge": {
            "id": of or f"ch_{payment.pk.hex}",
            "object": "charge",
            "metadata": {},
            "payment_intent": intent,
            "amount_refunded": 0,
        },
        "refund": {
            "id": f"{of}_{payment.pk.hex}",
            "object": "refund",
            "metadata": {},
            "payment_intent": intent,
            "amount": payment.amount,
            "status": "succeeded",
        },
        "charge.dispute": {
            "id": f"{of}_{payment.pk.hex}",
            "object": "dispute",
            "metadata": {},
            "payment_intent": intent,
            "amount": payment.amount,
            "currency": payment.currency,
            "status": "needs_response",
            "reason": "fraudulent",
            "evidence_details": {"due_by": 1_700_500_000},
            "balance_transactions": [],
        },
        "radar.early_fraud_warning": {
            "id": f"issfr_{payment.pk.hex}",
            "object": "radar.early_fraud_warning",
            "payment_intent": intent,
            "actionable": True,
            "fraud_type": "made_with_stolen_card",
        },
        "review": {
            "id": f"prv_{payment.pk.hex}",
            "object": "review",
            "payment_intent": intent,
            "open": True,
            "reason": "rule",
        },
    }
    if type_.startswith("charge.refund."):
        kind = "refund"
    return {
        "id": f"evt_{number}_{payment.pk.hex}",
        "object": "event",
        "type": type_,
        "created": 1_700_000_000 + number,
        "livemode": False,
        "api_version": "2026-10-28.endive",
        "data": {"object": objects[kind] | fields},
    }


def bodies(events: Iterable[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(each).encode() for each in events]


def declined(payment: Payment, *, charge: str = "ch_declined") -> list[dict[str, Any]]:
    return [event(payment, "payment_intent.payment_failed", of=charge)]


def paid(payment: Payment) -> list[dict[str, Any]]:
    return [
        event(payment, "payment_intent.succeeded"),
        event(payment, "checkout.session.completed", payment_status="paid"),
    ]


def paid_later(payment: Payment, *, charge: str = "ch_delayed") -> list[dict[str, Any]]:
    return [
        event(payment, "payment_intent.processing", of=charge),
        event(payment, "checkout.session.completed"),
    ]


def confirmed(payment: Payment) -> list[dict[str, Any]]:
    return [
        event(payment, "payment_intent.succeeded"),
        event(payment, "checkout.session.async_payment_succeeded", payment_status="paid"),
    ]


def bounced(payment: Payment, *, charge: str = "ch_delayed") -> list[dict[str, Any]]:
    return [
        event(payment, "payment_intent.payment_failed", of=charge),
        event(payment, "checkout.session.async_payment_failed"),
    ]


def expired(payment: Payment) -> list[dict[str, Any]]:
    return [event(payment, "checkout.session.expired", payment_intent=None)]


def refunded(payment: Payment, name: str, *, amount: int, total: int) -> list[dict[str, Any]]:
    return [
        event(payment, "charge.refunded", amount_refunded=total),
        event(payment, "refund.created", of=name, amount=amount, status="pending"),
        event(payment, "refund.updated", of=name, amount=amount, status="succeeded"),
    ]


def refund_failed(payment: Payment, name: str, *, amount: int) -> list[dict[str, Any]]:
    return [event(payment, "refund.failed", of=name, amount=amount, status="failed")]


def disputed(
    payment: Payment,
    name: str,
    *,
    ends: str | None = None,
    amount: int | None = None,
    moves: int = 0,
    **fields: Any,
) -> list[dict[str, Any]]:
    """Return the events of a dispute from its beginning. `moves`: how many balance transactions it had before."""
    amount = payment.amount if amount is None else amount
    fields |= {"amount": amount}
    before, withdrawn, back = (movements(payment, name, amount, count=moves + n) for n in range(3))
    events = [
        event(payment, "charge.dispute.created", of=name, **fields, balance_transactions=before),
        event(payment, "charge.dispute.funds_withdrawn", of=name, **fields, balance_transactions=withdrawn),
        event(
            payment,
            "charge.dispute.updated",
            of=name,
            **fields,
            status="under_review",
            balance_transactions=withdrawn,
        ),
    ]
    fields |= {"status": ends}
    if ends:
        events.append(
            event(payment, "charge.dispute.closed", of=name, **fields, balance_transactions=withdrawn)
        )
    if ends == "won":
        events.append(
            event(payment, "charge.dispute.funds_reinstated", of=name, **fields, balance_transactions=back)
        )
    return events


def movements(payment: Payment, name: str, amount: int, *, count: int) -> list[dict[str, Any]]:
    """Return so many balance transactions of a dispute: withdrawn, reinstated, withdrawn again …"""
    return [
        {
            "id": f"txn_{n}_{name}_{payment.pk.hex}",
            "object": "balance_transaction",
            "amount": amount if n % 2 else -amount,
            "fee": 1500,
            "currency": payment.currency,
            "created": 1_700_000_000 + n,
        }
        for n in range(count)
    ]


def charged(payment: Payment) -> list[dict[str, Any]]:
    return [
        event(
            payment,
            "charge.succeeded",
            status="succeeded",
            receipt_url="https://pay.stripe.example/receipts/1",
            outcome={"risk_level": "normal"},
            payment_method_details={
                "type": "card",
                "card": {"brand": "visa", "last4": "4242", "wallet": {"type": "apple_pay"}},
            },
        )
    ]


def recovered(payment: Payment, name: str) -> list[dict[str, Any]]:
    """Return the events of a session that Stripe made from the expired one, paid by a bank transfer."""
    session = {"id": f"cs_test_{name}_{payment.pk.hex}", "recovered_from": payment.session_id}
    return [event(payment, "checkout.session.completed", **session, payment_intent=f"pi_2_{payment.pk.hex}")]

"""Stripe's events of one payment, as the tests tell its stories."""

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
            "status": "needs_response",
        },
    }
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


def disputed(payment: Payment, name: str, *, ends: str | None = None) -> list[dict[str, Any]]:
    told = [
        event(payment, "charge.dispute.created", of=name),
        event(payment, "charge.dispute.funds_withdrawn", of=name),
        event(payment, "charge.dispute.updated", of=name, status="under_review"),
    ]
    if ends:
        told.append(event(payment, "charge.dispute.closed", of=name, status=ends))
    if ends == "won":
        told.append(event(payment, "charge.dispute.funds_reinstated", of=name, status="won"))
    return told

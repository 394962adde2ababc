"""What happens to a payment, each in one transaction."""

import uuid
from datetime import datetime
from typing import Any

import asyncpg
import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from . import stripe
from .hub import Push

NEW_EVENT = "INSERT INTO events (id, type, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING true"
SUCCEED = """
UPDATE payments SET status = 'succeeded', updated_at = now() WHERE id = $1
RETURNING ride_id, user_id, session_id
"""
NOTIFY = "INSERT INTO notifications (user_id, frame) VALUES ($1, $2)"
NEW_PAYMENT = """
INSERT INTO payments (id, ride_id, user_id, amount, currency, status)
VALUES ($1, $2, $3, $4, $5, 'pending') RETURNING created_at
"""
SAVE_SESSION = "UPDATE payments SET session_id = $2, url = $3, updated_at = now() WHERE id = $1"


class Body(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class NewPayment(Body):
    ride_id: str = Field(min_length=1, max_length=128)
    user_id: str = Field(min_length=1, max_length=128)
    amount: int = Field(gt=0, le=99_999_999)
    currency: str = Field(pattern="^[A-Za-z]{3}$")
    description: str = Field(default="", max_length=250)
    success_url: str = Field(default="https://example.com/success", max_length=2048)
    cancel_url: str = Field(default="https://example.com/cancel", max_length=2048)


class PaymentOut(Body):
    id: uuid.UUID
    ride_id: str
    user_id: str
    amount: int
    currency: str
    status: str
    payment_url: str
    stripe_session_id: str
    created_at: datetime


async def take_event(pool: asyncpg.Pool, *, event: dict[str, Any], body: str) -> Push | None:
    """Store a new event and what it says of a payment; return what its user is to be told."""
    async with pool.acquire() as connection, connection.transaction():
        is_new = await connection.fetchval(NEW_EVENT, event["id"], event["type"], body)
        if not is_new or event["type"] != "checkout.session.completed":
            return None
        payment_id = uuid.UUID(event["data"]["object"]["client_reference_id"])
        payment = await connection.fetchrow(SUCCEED, payment_id)
        if payment is None:
            return None
        frame = {
            "type": "payment_status_update",
            "rideId": payment["ride_id"],
            "status": "succeeded",
            "stripeSessionId": payment["session_id"],
        }
        push = Push(user_id=payment["user_id"], frame=orjson.dumps(frame).decode())
        await connection.execute(NOTIFY, push.user_id, push.frame)
    return push


async def create(
    pool: asyncpg.Pool, http: httpx.AsyncClient, *, order: NewPayment
) -> tuple[PaymentOut, Push]:
    """Commit the payment, ask Stripe for its session, then save that and return the link for the user."""
    payment_id, currency = uuid.uuid4(), order.currency.lower()
    created_at = await pool.fetchval(
        NEW_PAYMENT, payment_id, order.ride_id, order.user_id, order.amount, currency
    )
    session = await stripe.create_session(
        http, form=_form(payment_id, order), idempotency_key=f"payment-{payment_id}"
    )
    frame = {
        "type": "payment_url",
        "rideId": order.ride_id,
        "paymentUrl": session["url"],
        "status": "pending",
    }
    push = Push(user_id=order.user_id, frame=orjson.dumps(frame).decode())
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SAVE_SESSION, payment_id, session["id"], session["url"])
        await connection.execute(NOTIFY, push.user_id, push.frame)
    payment = PaymentOut(
        id=payment_id,
        ride_id=order.ride_id,
        user_id=order.user_id,
        amount=order.amount,
        currency=currency,
        status="pending",
        payment_url=session["url"],
        stripe_session_id=session["id"],
        created_at=created_at,
    )
    return payment, push


def _form(payment_id: uuid.UUID, order: NewPayment) -> dict[str, str]:
    price = "line_items[0][price_data]"
    return {
        "mode": "payment",
        "client_reference_id": str(payment_id),
        "line_items[0][quantity]": "1",
        f"{price}[currency]": order.currency.lower(),
        f"{price}[unit_amount]": str(order.amount),
        f"{price}[product_data][name]": order.description or f"Ride {order.ride_id}",
        "metadata[payment_id]": str(payment_id),
        "metadata[ride_id]": order.ride_id,
        "payment_intent_data[metadata][payment_id]": str(payment_id),
        "payment_intent_data[metadata][ride_id]": order.ride_id,
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
    }

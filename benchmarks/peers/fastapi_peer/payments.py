"""What happens to a payment, each in one transaction."""

import uuid
from typing import Any

import asyncpg
import httpx
import orjson

from benchmarks.peers.orders import NewPayment, PaymentOut
from benchmarks.peers.stripe import SESSIONS, session_request

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


async def take_event(pool: asyncpg.Pool, *, event: dict[str, Any], body: str) -> Push | None:
    """Store a new event and what it says of a payment; return what its user is to be sent."""
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
    response = await http.post(SESSIONS, **session_request(payment_id, order))
    session = response.raise_for_status().json()
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

"""The routes, and what they share."""

import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
import httpx
import orjson
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response, WebSocket
from redis.asyncio import Redis

from benchmarks.peers.orders import NewPayment, PaymentOut
from benchmarks.peers.stripe import is_signed
from benchmarks.peers.tokens import user_of

from . import payments
from .hub import Hub

AUTHORIZATION = f"Bearer {os.environ['API_KEY']}".encode()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with (
        asyncpg.create_pool(os.environ["DATABASE_URL"]) as pool,
        Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as redis,
        httpx.AsyncClient(trust_env=False) as http,
        Hub(redis) as hub,
    ):
        app.state.pool, app.state.http, app.state.hub = pool, http, hub
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/healthz")
async def healthz() -> Response:
    return Response("ok")


@app.post("/webhooks/stripe/")
async def webhook(request: Request) -> Response:
    body = await request.body()
    if not is_signed(body=body, header=request.headers.get("stripe-signature", "")):
        raise HTTPException(400, "The signature does not match.")
    pushed = await payments.take_event(app.state.pool, event=orjson.loads(body), body=body.decode())
    if pushed:
        await app.state.hub.publish(pushed)
    return Response()


async def backend(authorization: Annotated[str, Header()] = "") -> None:
    if not hmac.compare_digest(authorization.encode(), AUTHORIZATION):
        raise HTTPException(401, "Send the API key.")


@app.post("/api/payments", status_code=201, dependencies=[Depends(backend)])
async def create_payment(order: NewPayment) -> PaymentOut:
    payment, pushed = await payments.create(app.state.pool, app.state.http, order=order)
    await app.state.hub.publish(pushed)
    return payment


@app.websocket("/basic/ws")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    user_id = None
    try:
        async for text in websocket.iter_text():
            message = orjson.loads(text)
            if message["type"] == "register" and user_id is None:
                user_id = user_of(message)
                await app.state.hub.add(user_id, websocket)
                await websocket.send_text(_registered(user_id))
    finally:
        if user_id is not None:
            await app.state.hub.remove(user_id, websocket)


def _registered(user_id: str) -> str:
    return orjson.dumps(
        {
            "type": "registration_success",
            "message": "Successfully registered for payment notifications",
            "userId": user_id,
        }
    ).decode()

"""The ride's backend and Stripe, at the wire: requests for payments, and webhooks that say what became of them."""

import asyncio
import hashlib
import hmac
import json
import time
from collections import Counter
from random import Random
from typing import Any
from uuid import UUID

import httpx

from tests.chaos.clock import Clock
from tests.chaos.model import Cancel, Events, Order, Page, Refund, Step
from tests.chaos.plan import PlannedPayment
from tests.chaos.records import Made

AT_ONCE = 48
"""Requests under way at a time: after an outage the rest waits its turn."""
TIMEOUT_SECONDS = 10.0
"""How long Stripe waits for an answer, too."""
RETRY_SECONDS = (0.25, 4.0)
SHARE_AGAIN, SHARE_AT_ONCE = 0.15, 0.1
"""How many events are delivered again a moment later, and how many twice at the same moment."""


class Stream:
    """Makes the planned payments, and keeps at each until it is answered."""

    def __init__(
        self, *, url: str, api_key: str, webhook_secret: str, payments: tuple[PlannedPayment, ...]
    ) -> None:
        self.made: list[Made] = []
        self.done = 0
        self.requests = 0
        self.failures: Counter[str] = Counter()
        self._planned = payments
        self._key = {"Authorization": f"Bearer {api_key}"}
        self._secret = webhook_secret.encode()
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        self._http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, limits=limits, trust_env=False)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def run(self, clock: Clock) -> None:
        """Return when every payment is made, and every event of it was answered with 200."""
        async with self._http, asyncio.TaskGroup() as group:
            for planned in self._planned:
                await clock.reach(planned.at)
                group.create_task(self._live_through(planned))

    async def _live_through(self, planned: PlannedPayment) -> None:
        order = await self._ask(planned)
        self.made.append(Made(str(order.pk), order.user_id, planned.scenario.name, planned.scenario.final))
        rng = Random(planned.seed)
        steps = list(planned.scenario.steps)
        if planned.shuffled:
            steps = _merged(steps, order)
        for step in steps:
            await asyncio.sleep(0 if planned.shuffled else planned.pause)
            await self._take(step, order, rng)
        self.done += 1

    async def _ask(self, planned: PlannedPayment) -> Order:
        wish = {"rideId": planned.ride_id, "userId": planned.user_id, "amount": 1250, "currency": "usd"}
        # Requests are repeated until they are answered, and must not make a second payment.
        key = {"Idempotency-Key": planned.ride_id}
        answer = await self._insist("/api/payments", {201}, json=wish, headers=self._key | key)
        payment = answer.json()
        return Order(
            pk=UUID(payment["id"]),
            user_id=planned.user_id,
            ride_id=planned.ride_id,
            session_id=payment["stripeSessionId"],
            payment_url=payment["paymentUrl"],
        )

    async def _take(self, step: Step, order: Order, rng: Random) -> None:
        match step:
            case Events(make):
                events = make(order)
                rng.shuffle(events)
                async with asyncio.TaskGroup() as group:
                    for event in events:
                        group.create_task(self._deliver(event, Random(rng.random())))
            case Page(outcome):
                # 409: an earlier try has done it, and its answer got lost
                await self._insist(order.payment_url, {200, 303, 409}, data={"outcome": outcome})
            case Cancel():
                await self._insist(f"/api/payments/{order.pk}/cancel", {200}, headers=self._key)
            case Refund(amount):
                key = {"Idempotency-Key": f"refund-{order.ride_id}"}
                path = f"/api/payments/{order.pk}/refund"
                await self._insist(path, {201}, json={"amount": amount}, headers=self._key | key)

    async def _deliver(self, event: dict[str, Any], rng: Random) -> None:
        """Deliver an event, in some cases twice: at the same moment, or again a little later."""
        chance = rng.random()
        body = json.dumps(event).encode()
        copies = 2 if chance < SHARE_AT_ONCE else 1
        await asyncio.gather(*(self._post_event(body) for _ in range(copies)))
        if SHARE_AT_ONCE <= chance < SHARE_AT_ONCE + SHARE_AGAIN:
            await asyncio.sleep(rng.uniform(0.2, 3))
            await self._post_event(body)

    async def _post_event(self, body: bytes) -> None:
        await self._insist("/webhooks/stripe/", {200}, content=body, sign=True)

    async def _insist(
        self, path: str, good: set[int], *, sign: bool = False, **request: Any
    ) -> httpx.Response:
        """Post until the answer is good, with growing pauses; count what else came."""
        wait, longest = RETRY_SECONDS
        while True:
            if sign:
                # Signed anew at each try, as Stripe does: an old signature is refused.
                request["headers"] = self._signed(request["content"])
            async with self._turns:
                self.requests += 1
                try:
                    answer = await self._http.post(path, **request)
                except httpx.TransportError as error:
                    problem = type(error).__name__
                else:
                    if answer.status_code in good:
                        return answer
                    problem = str(answer.status_code)
            self.failures[f"{_what(path)}: {problem}"] += 1
            await asyncio.sleep(wait)
            wait = min(2 * wait, longest)

    def _signed(self, body: bytes) -> dict[str, str]:
        """Sign as Stripe does: https://docs.stripe.com/webhooks#verify-manually."""
        at = int(time.time())
        digest = hmac.new(self._secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={at},v1={digest}"}


def _merged(steps: list[Step], order: Order) -> list[Step]:
    """Make one step of all events that follow each other: they will come in any order."""
    if not steps or not all(isinstance(step, Events) for step in steps):
        return steps
    events = [event for step in steps if isinstance(step, Events) for event in step.make(order)]
    return [Events(lambda _: events)]


def _what(path: str) -> str:
    """Return the kind of a request: addresses of payment pages are for their customers alone."""
    for kind in ("/webhooks/stripe/", "/cancel", "/refund", "/api/payments"):
        if path.endswith(kind):
            return kind
    return "payment page"

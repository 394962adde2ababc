"""Requests are answered in threads, of which there are enough for those that others wait for."""

import asyncio
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.db import connection

from payments_project import handler

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def busy():
    """Hold every thread of Django's own requests until the test has ended."""
    ends = threading.Event()
    pool = handler._POOLS[("",)]
    waiting = [pool.submit(ends.wait) for _ in range(handler.THREADS)]
    yield
    ends.set()
    for each in waiting:
        each.result()


def caller():
    transport = httpx.ASGITransport(handler.Handler())
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30)


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", 200), ("/readyz", 200), ("/v1/events", 401), ("/webhooks/stripe", 405)]
)
async def test_health_checks_webhooks_and_the_sandbox_do_not_wait_for_other_requests(busy, path, status):
    async with caller() as client:
        response = await client.get(path)

    assert response.status_code == status


@pytest.fixture
def silent_stripe(settings):
    """A Stripe that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{server.getsockname()[1]}"
        yield


@pytest.fixture
def few_threads(monkeypatch):
    """Return a function that sets the number of threads, and the seconds to wait for one and for Stripe."""
    pools = []

    def have(count, *, wait_seconds, request_seconds):
        pools.append(ThreadPoolExecutor(count))
        monkeypatch.setitem(handler._POOLS, ("",), pools[0])
        monkeypatch.setattr(handler, "WAIT_SECONDS", wait_seconds)
        monkeypatch.setattr(handler, "REQUEST_SECONDS", request_seconds)

    yield have
    pools[0].submit(connection.close)
    pools[0].shutdown()


async def ask_at_once(count):
    """Ask for payments; return statuses with codes, and the seconds until all are answered."""

    async def ask(client, n):
        answer = await client.post(
            "/api/payments",
            json={"rideId": f"ride-{n}", "userId": "user_123", "amount": 1250, "currency": "usd"},
            headers={"Authorization": "Bearer dev-key"},
        )
        assert int(answer.headers["Retry-After"]) > 0
        return answer.status_code, answer.json()["error"]["code"]

    started = time.monotonic()
    async with caller() as client:
        answers = await asyncio.gather(*(ask(client, n) for n in range(count)))
    return Counter(answers), time.monotonic() - started


async def test_more_requests_than_threads_are_refused_while_their_callers_wait(silent_stripe, few_threads):
    few_threads(2, wait_seconds=0.5, request_seconds=2)
    answers, seconds = await ask_at_once(8)
    assert answers == {(503, "stripe_unavailable"): 2, (503, "busy"): 6}
    assert seconds < 4


async def test_the_wait_for_a_thread_counts_as_time_at_stripe(silent_stripe, few_threads):
    few_threads(1, wait_seconds=20, request_seconds=2)
    answers, seconds = await ask_at_once(5)
    assert answers == {(503, "stripe_unavailable"): 5}
    assert seconds < 4

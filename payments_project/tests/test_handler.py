"""Requests are answered in threads, of which there are enough for those that others wait for."""

import threading

import httpx
import pytest

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


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/readyz", 200), ("/v1/events", 401)])
async def test_health_checks_and_the_sandbox_do_not_wait_for_other_requests(busy, path, status):
    transport = httpx.ASGITransport(handler.Handler())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client:
        response = await client.get(path)

    assert response.status_code == status

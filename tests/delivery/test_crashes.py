"""A server without its Redis, and killed in the middle of everything: no notification is lost."""

import pytest

from tests.support import backend, sandbox
from tests.support.client import connected
from tests.support.frames import link, numbered, story


@pytest.fixture
def server(frail):
    return frail


def test_without_redis_notifications_come_all_the_same(server, rider):
    payment = backend.ask(server, rider.user_id)
    sandbox.choose(server, payment, "pay")

    assert rider.receive_all() == story(payment, "succeeded")
    assert server.http.get("/readyz").status_code == 200
    lines = server.log.splitlines()
    assert sum("The channel layer fails" in line for line in lines) in {
        1,
        2,
    }  # the other test restarts the server


def test_what_happened_before_during_and_after_a_crash_comes_once_and_in_order(
    server, connect, user_id, deliver
):
    with connected(server) as client:
        client.register(user_id, lastSeq=0)
        first = backend.ask(server, user_id)
        assert client.receive() == link(first) | {"seq": 1}
    sandbox.choose(server, first, "pay")
    sandbox.wait_until_delivered(server)
    second = backend.ask(server, user_id)
    deliver("late")
    sandbox.choose(server, second, "pay")
    server.kill()

    server.start()
    client = connect(server)
    answer = client.register(user_id, lastSeq=1)

    expected = numbered([*story(first, "succeeded"), *story(second, "succeeded")])
    assert answer["resumed"]
    assert answer["lastSeq"] in {3, 4}, "the late event may come before the client does"
    assert [client.receive() for _ in expected[1:]] == expected[1:]
    sandbox.wait_until_delivered(server)
    last = backend.ask(server, user_id)
    assert client.receive() == link(last) | {"seq": 5}

"""A server without Redis that is killed in the middle of everything: no notification is lost."""

import pytest

from tests import backend, sandbox
from tests.client import connected
from tests.frames import link, numbered, registered, story


@pytest.fixture(scope="module")
def frail(serve):
    """A server whose Redis is away for good: only the database carries its notifications."""
    return serve(REDIS_URL="redis://localhost:1/0")


def test_without_redis_notifications_come_all_the_same(frail, connect, user_id):
    client = connect(frail)
    assert client.register(user_id) == registered(user_id)

    payment = backend.ask(frail, user_id)
    sandbox.choose(frail, payment, "pay")
    sandbox.wait_until_delivered(frail)

    told = story(payment, "succeeded")
    assert [client.receive() for _ in told] == told
    assert "The channel layer fails" in frail.log


def test_what_happened_before_during_and_after_a_crash_arrives_once_and_in_order(frail, connect, user_id):
    with connected(frail) as client:
        client.register(user_id, lastSeq=0)
        first = backend.ask(frail, user_id)
        assert client.receive() == link(first) | {"seq": 1}
    sandbox.choose(frail, first, "pay")
    sandbox.wait_until_delivered(frail)
    sandbox.control(frail, "set_mode", mode="late")
    second = backend.ask(frail, user_id)
    sandbox.choose(frail, second, "pay")
    frail.kill()

    frail.start()
    client = connect(frail)
    answer = client.register(user_id, lastSeq=1)

    told = numbered([*story(first, "succeeded"), *story(second, "succeeded")])
    assert answer["resumed"]
    assert [client.receive() for _ in told[1:]] == told[1:]
    sandbox.control(frail, "set_mode", mode="normal")
    last = backend.ask(frail, user_id)
    assert client.receive() == link(last) | {"seq": 5}

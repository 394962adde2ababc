"""Clients of the guide, unmodified, miss nothing: whatever happened while they were away, or to their connection."""

import pytest

from tests.support import backend, sandbox
from tests.support.client import connected
from tests.support.frames import link, status, story
from tests.support.proxy import Proxy
from tests.support.server import eventually


@pytest.fixture
def come_back(server, user_id):
    """Return a function that connects and registers anew, and returns what comes with it."""

    def register():
        with connected(server) as client:
            client.register(user_id)
            return client.receive_until_pong()

    return register


def confirmed(server, user_id):
    """Return up to which number a plain client is known to have got everything."""
    rows = server.database.execute("SELECT confirmed_seq FROM notifications_feed WHERE user_id = %s", user_id)
    return rows[0][0] if rows else 0


def test_away_while_a_payment_was_asked_for_and_paid_it_is_sent_the_newest_status(server, user_id, come_back):
    payment = backend.ask(server, user_id)
    sandbox.choose(server, payment, "decline")
    sandbox.choose(server, payment, "pay")
    sandbox.wait_until_delivered(server)

    assert come_back() == [status(payment, "succeeded")]


def test_away_since_the_link_it_is_handed_the_link(server, user_id, come_back):
    with connected(server) as client:
        client.register(user_id)
        client.close()
    payment = backend.ask(server, user_id)

    assert come_back() == [link(payment)]


def test_what_happened_before_and_after_the_registration_comes_in_order(server, connect, user_id):
    first, second = backend.ask(server, user_id), backend.ask(server, user_id)
    sandbox.choose(server, first, "pay")
    sandbox.wait_until_delivered(server)
    client = connect(server)
    client.register(user_id)

    sandbox.choose(server, second, "pay")

    expected = [link(second), status(first, "succeeded"), status(second, "succeeded")]
    assert client.receive_all() == expected


def test_what_was_sent_into_a_connection_that_is_half_open_is_sent_again(server, user_id, come_back):
    with Proxy(server.port) as network, connected(server, through=network) as client:
        client.register(user_id)
        network.black_hole()
        payment = backend.ask(server, user_id)
        sandbox.choose(server, payment, "pay")
        sandbox.wait_until_delivered(server)

        assert come_back() == [status(payment, "succeeded")]
        network.cut()


def test_a_client_that_closed_its_connection_is_sent_nothing_twice(server, user_id, come_back):
    with connected(server) as client:
        client.register(user_id)
        payment = backend.ask(server, user_id)
        assert client.receive() == link(payment)
        client.close()
    eventually(lambda: confirmed(server, user_id) == 1)

    assert come_back() == []


def test_of_two_tabs_that_are_notified_the_one_that_reloads_is_sent_nothing_again(
    server, connect, user_id, come_back
):
    tab = connect(server)
    tab.register(user_id)
    with connected(server) as other:
        other.register(user_id)
        payment = backend.ask(server, user_id)
        assert tab.receive() == other.receive() == link(payment)
        other.close()
    eventually(lambda: confirmed(server, user_id) == 1)

    assert come_back() == []
    sandbox.choose(server, payment, "pay")
    assert tab.receive_all() == [status(payment, "succeeded")]


def test_a_connection_that_lives_on_has_got_what_it_was_sent(serve, user_id):
    server = serve(WEBSOCKET_PING_SECONDS="1")
    with connected(server) as client:
        client.register(user_id)
        payment = backend.ask(server, user_id)
        assert client.receive_all() == story(payment)
        eventually(lambda: confirmed(server, user_id) == 2)


def test_a_connection_that_breaks_again_and_again_is_sent_the_same_ten_times(server, user_id):
    payment = backend.ask(server, user_id)
    port = server.port
    received = []
    for _ in range(11):
        with Proxy(port) as network, connected(server, through=network) as client:
            client.register(user_id)
            received += client.receive_until_pong()
            network.cut()

    assert received == [link(payment)] * 10

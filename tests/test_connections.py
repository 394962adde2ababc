"""Which connections get a user's notifications, and which may have them."""

import time

import jwt
import pytest

from tests import backend, sandbox
from tests.client import connected
from tests.frames import link, registered, status, story

TOKEN_SECRET = "a secret for tests that is long enough"


def test_every_connection_of_a_user_gets_every_notification(server, connect, user_id):
    clients = [connect(server) for _ in range(5)]
    for client in clients:
        assert client.register(user_id) == registered(user_id)

    payment = backend.ask(server, user_id)
    sandbox.choose(server, payment, "pay")

    for client in clients:
        assert client.receive_until(status(payment, "succeeded")) == story(payment)


def test_a_user_gets_nothing_of_another(server, rider, user_id, heard):
    backend.ask(server, f"{user_id}-2")

    assert heard(server, rider, user_id) == []


def test_a_client_that_never_registers_gets_nothing(server, connect, rider, user_id):
    stranger = connect(server)

    payment = backend.ask(server, user_id)

    assert rider.receive() == link(payment)
    assert stranger.receive_until_pong() == []


def test_registering_as_another_user_leaves_the_first(server, rider, user_id, heard):
    other = f"{user_id}-other"

    assert rider.register(other) == registered(other)

    backend.ask(server, user_id)
    payment = backend.ask(server, other)
    assert heard(server, rider, other) == [link(payment)]


def test_registering_twice_as_one_user_tells_everything_once(server, rider, user_id, heard):
    assert rider.register(user_id) == registered(user_id)

    payment = backend.ask(server, user_id)
    sandbox.choose(server, payment, "pay")

    assert heard(server, rider, user_id) == story(payment, "succeeded")


def test_a_client_that_left_and_came_back_gets_what_happens_from_then_on(server, connect, user_id):
    with connected(server) as earlier:
        earlier.register(user_id)
    backend.ask(server, user_id)
    client = connect(server)

    assert client.register(user_id) == registered(user_id)

    payment = backend.ask(server, user_id)
    assert client.receive() == link(payment)


@pytest.fixture(scope="module")
def guarded(serve):
    """A server for which a token proves who somebody is, and on which a user has one connection."""
    return serve(
        NOTIFICATIONS_AUTH="token",
        NOTIFICATIONS_TOKEN_SECRET=TOKEN_SECRET,
        NOTIFICATIONS_CONNECTIONS="latest",
    )


def token(user_id, *, secret=TOKEN_SECRET, seconds=3600, **claims):
    return jwt.encode({"sub": user_id, "exp": time.time() + seconds} | claims, secret, "HS256")


def test_who_has_a_token_is_registered(guarded, connect, user_id):
    client = connect(guarded)

    assert client.register(user_id, token=token(user_id)) == registered(user_id)

    payment = backend.ask(guarded, user_id)
    assert client.receive() == link(payment)


@pytest.mark.parametrize(
    ("proof", "message"),
    [
        ({}, 'A token is needed. Send it as "token", beside "userId".'),
        ({"token": token("somebody else")}, "The token is for another user."),
        ({"token": token("a user", seconds=-1)}, "The token has expired."),
        ({"token": token("a user", secret="another secret, which is long enough")}, "The token is not valid."),
        ({"token": jwt.encode({"sub": "a user", "exp": 2**33}, "", "none")}, "The token is not valid."),
        ({"token": "?"}, "The token is not valid."),
    ],
    ids=["none", "another user's", "expired", "another key's", "unsigned", "no token at all"],
)
def test_who_proves_nothing_is_told_why_and_sent_away(guarded, connect, proof, message):
    client = connect(guarded)

    assert client.register("a user", **proof) == {"type": "error", "message": message, "code": "unauthorized"}
    assert client.close_code() == 4401


def test_where_the_latest_connection_counts_the_older_one_is_closed(guarded, connect, user_id):
    older, newer = connect(guarded), connect(guarded)
    older.register(user_id, token=token(user_id))

    assert newer.register(user_id, token=token(user_id)) == registered(user_id)

    assert older.close_code() == 4409
    payment = backend.ask(guarded, user_id)
    sandbox.choose(guarded, payment, "pay")
    assert newer.receive_until(status(payment, "succeeded")) == story(payment)

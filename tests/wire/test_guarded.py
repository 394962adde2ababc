"""A server on which a token proves who somebody is, and a user has one connection: the latest."""

import time

import jwt
import pytest

from tests.support import backend, sandbox
from tests.support.frames import link, registered, status, story

SECRET = "a secret for tests that is long enough"


@pytest.fixture(scope="module")
def server(serve):
    return serve(
        NOTIFICATIONS_AUTH="token",
        NOTIFICATIONS_TOKEN_SECRET=SECRET,
        NOTIFICATIONS_CONNECTIONS="latest",
    )


def token(user_id, *, secret=SECRET, seconds=3600):
    return jwt.encode({"sub": user_id, "exp": time.time() + seconds}, secret, "HS256")


def test_who_has_a_token_is_registered(server, connect, user_id):
    client = connect(server)

    assert client.register(user_id, token=token(user_id)) == registered(user_id)

    payment = backend.ask(server, user_id)
    assert client.receive() == link(payment)


@pytest.mark.parametrize(
    ("proof", "message"),
    [
        ({}, 'A token is needed. Send it as "token", beside "userId".'),
        ({"token": token("somebody else")}, "The token is for another user."),
        ({"token": token("a user", seconds=-60)}, "The token has expired."),
        (
            {"token": token("a user", secret="another secret, which is long enough")},
            "The token is not valid.",
        ),
        ({"token": jwt.encode({"sub": "a user", "exp": 2**33}, "", "none")}, "The token is not valid."),
        ({"token": "?"}, "The token is not valid."),
    ],
    ids=["none", "another user's", "expired", "another key's", "unsigned", "no token at all"],
)
def test_who_proves_nothing_is_told_why_and_sent_away(server, connect, proof, message):
    client = connect(server)

    assert client.register("a user", **proof) == {"type": "error", "message": message, "code": "unauthorized"}
    assert client.close_code() == 4401


def test_the_latest_connection_closes_the_one_before(server, connect, user_id):
    older, newer = connect(server), connect(server)
    older.register(user_id, token=token(user_id))

    assert newer.register(user_id, token=token(user_id)) == registered(user_id)

    assert older.close_code() == 4409
    payment = backend.ask(server, user_id)
    sandbox.choose(server, payment, "pay")
    assert newer.receive_until(status(payment, "succeeded")) == story(payment)

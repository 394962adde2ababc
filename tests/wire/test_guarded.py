"""A server on which a token proves who somebody is, and a user has one connection: the latest."""

import time
from urllib.parse import quote

import jwt
import pytest
from websockets.exceptions import InvalidStatus

from notifications.tests.issuer import Issuer
from tests.support import backend, sandbox
from tests.support.frames import link, registered, status, story

SECRET = "a secret for tests that is long enough"
EXPIRED = {"type": "error", "message": "The token has expired.", "code": "unauthorized"}


@pytest.fixture(scope="module")
def server(serve):
    return serve(
        NOTIFICATIONS_AUTH="token",
        NOTIFICATIONS_TOKEN_SECRET=SECRET,
        NOTIFICATIONS_CONNECTIONS="latest",
        LOG_LEVEL="DEBUG",
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
def test_a_client_that_proves_nothing_hears_why_and_is_sent_away(server, connect, proof, message):
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


def test_a_connection_ends_with_its_token_unless_a_fresh_one_comes_before(server, connect, user_id):
    client, renewed = connect(server), connect(server)
    client.register(user_id, token=token(user_id, seconds=1))
    other = f"{user_id}-2"
    renewed.register(other, token=token(other, seconds=1))
    assert renewed.register(other, token=token(other)) == registered(other)

    assert client.receive() == EXPIRED
    assert client.close_code() == 4401
    payment = backend.ask(server, other)
    assert renewed.receive() == link(payment)


@pytest.mark.parametrize("order", [1, -1])
def test_a_browser_can_send_the_token_as_a_subprotocol_which_is_not_repeated(server, connect, user_id, order):
    offered = ["notifications", f"bearer.{token(user_id)}"][::order]
    client = connect(server, subprotocols=offered)

    assert client.subprotocol == "notifications"
    assert client.register(user_id) == registered(user_id)


def test_a_token_in_the_address_is_not_looked_at(server, connect, user_id):
    client = connect(server, path=f"/basic/ws?token={token(user_id)}")

    assert client.register(user_id)["message"].startswith("A token is needed.")
    assert client.close_code() == 4401


def test_no_token_reaches_the_log(server, connect, user_id):
    good, bad = token(user_id), token(user_id, secret="another secret, which is long enough")
    for proof in (good, bad, "bearer.nonsense.of.a.token"):
        connect(server, path=f"/basic/ws?token={proof}").register(user_id, token=proof)
        connect(server, subprotocols=["notifications", f"bearer.{proof}"]).register(user_id)
        with pytest.raises(InvalidStatus):
            connect(server, path=f"/basic/{proof}")
        connect(server).send(f'{{"type": "register", "userId": 7, "token": "{proof}"')
        server.http.get(f"/api/payments?token={proof}", headers={"Authorization": f"Bearer {proof}"})
    minted = mint(server, user_id)["token"]

    server.stop()
    assert "access.refusals: Refused " in server.log, "it logs that it refused them"
    for secret in (good, bad, minted, "nonsense.of.a.token"):
        assert secret not in server.log
        assert secret not in server.out
    server.start()


def mint(server, user_id, **body):
    answer = backend.post(server, f"/api/users/{quote(user_id, safe='')}/token", body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()


@pytest.mark.parametrize("user", ["{}", "{}/token", "a/b?c#{}", "{}\n%2F😀"])
def test_a_minted_token_registers_its_user(server, connect, user_id, user):
    user = user.format(user_id)
    client = connect(server)

    assert client.register(user, token=mint(server, user)["token"]) == registered(user)


def test_a_minted_token_ends_when_it_says(server, connect, user_id):
    client = connect(server)
    client.register(user_id, token=mint(server, user_id, expiresIn=1)["token"])

    assert client.receive() == EXPIRED
    assert client.close_code() == 4401


def test_a_rotated_key_is_taken_by_a_server_that_reads_a_key_set(serve, connect, user_id, request):
    issuer = Issuer()
    request.addfinalizer(issuer.close)
    server = serve(
        NOTIFICATIONS_AUTH="token",
        NOTIFICATIONS_TOKEN_ALGORITHM="RS256",
        NOTIFICATIONS_TOKEN_JWKS_URL=issuer.url,
    )
    client = connect(server)
    assert client.register(user_id, token=issuer.token(user_id)) == registered(user_id)
    issuer.rotate("second", keep=False)
    assert client.register(user_id, token=issuer.token(user_id)) == registered(user_id)
    answer = backend.post(server, f"/api/users/{user_id}/token", {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "tokens_not_minted")

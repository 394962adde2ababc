"""Only a WebSocket is an upgrade. Who offers another, as Java's clients do on every request, is served as if it had not."""

import json
import time
import uuid

import pytest

from tests.support import backend, sandbox
from tests.support.raw_http import KEY, Answers, chunks, head, raw_connection

H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAAB")
JSON = (KEY.strip(), b"Content-Type: application/json")
HANDSHAKE = (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


@pytest.fixture(scope="module")
def server(serve):
    return serve()


def order():
    return json.dumps(backend.order(uuid.uuid4().hex)).encode()


def with_length(body):
    return b"Content-Length: %d" % len(body), [body]


def chunked(body):
    return b"Transfer-Encoding: chunked", [chunks(body[:9], body[9:])]


def chunked_in_pieces(body):
    field, (wire,) = chunked(body)
    return field, [wire[at : at + 11] for at in range(0, len(wire), 11)]


@pytest.mark.parametrize("framing", [with_length, chunked, chunked_in_pieces])
@pytest.mark.parametrize("is_split", [False, True])
def test_the_body_of_a_request_that_offers_another_upgrade_is_read(server, framing, is_split):
    body = order()
    field, parts = framing(body)
    first = head(b"POST /api/payments", *JSON, *H2C, field)
    with raw_connection(server) as sock:
        answers = Answers(sock)
        if is_split:
            for part in [first, *parts]:
                sock.sendall(part)
                time.sleep(0.02)  # so that it is a packet of its own
        else:
            sock.sendall(first + b"".join(parts))
        status, payment = next(answers)

        assert (status, payment["rideId"]) == (201, json.loads(body)["rideId"])
        sock.sendall(head(b"GET /api/payments/" + payment["id"].encode(), KEY.strip(), *H2C))
        assert next(answers) == (200, payment)


def test_a_part_of_a_payment_is_refunded_and_not_the_whole(server, user_id):
    payment = backend.ask(server, user_id)
    sandbox.choose(server, payment, "pay")
    sandbox.wait_until_delivered(server)
    path = f"POST /api/payments/{payment['id']}/refund".encode()
    body = b'{"amount": 100}'
    key = b"Idempotency-Key: " + uuid.uuid4().hex.encode()
    with raw_connection(server) as sock:
        sock.sendall(head(path, *JSON, *H2C, key, b"Content-Length: %d" % len(body)))
        time.sleep(0.05)  # so that the body is a packet of its own
        sock.sendall(body)
        status, refund = next(Answers(sock))

    assert (status, refund["amount"]) == (201, 100)


def test_requests_that_follow_in_the_same_packet_are_served_too_in_their_order(server):
    bodies = [order() for _ in range(5)]
    requests = [
        head(b"POST /api/payments", *JSON, *(H2C if n % 2 else ()), b"Content-Length: %d" % len(body)) + body
        for n, body in enumerate(bodies)
    ]
    with raw_connection(server) as sock:
        answers = Answers(sock)
        sock.sendall(b"".join(requests))
        answered = [next(answers)[1]["rideId"] for _ in bodies]

    assert answered == [json.loads(body)["rideId"] for body in bodies]


@pytest.mark.parametrize(
    "fields",
    [
        (b"Upgrade: websocket", b"Connection: Upgrade"),
        (b"Upgrade: WebSocket", b"Connection: keep-alive, Upgrade"),
        (b"Upgrade: h2c, websocket", b"Connection: Upgrade"),
        (b"Upgrade: h2c", b"Upgrade: websocket", b"Connection: Upgrade", b"Connection: keep-alive"),
    ],
)
def test_a_websocket_is_an_upgrade_however_it_is_offered(server, fields):
    with raw_connection(server) as sock:
        sock.sendall(head(b"GET /basic/ws", *fields, *HANDSHAKE))
        assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://localhost/basic/ws", 101),
        (b"https://localhost/basic/ws/?lastSeq=0", 101),
        (b"http://localhost", 403),
        (b"http://localhost/basic/ws/more", 403),
    ],
)
def test_a_proxy_may_send_the_whole_address_of_a_websocket(server, target, status):
    with raw_connection(server) as sock:
        offer = (b"Upgrade: websocket", b"Connection: Upgrade", *HANDSHAKE)
        sock.sendall(head(b"GET " + target, *offer))
        assert sock.recv(4096).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("method", [b"POST", b"PUT"])
def test_what_cannot_open_a_websocket_is_served_as_what_it_is(server, method):
    body = order()
    with raw_connection(server) as sock:
        answers = Answers(sock)
        offer = (b"Upgrade: websocket", b"Connection: Upgrade", *HANDSHAKE)
        sock.sendall(
            head(method + b" /api/payments", *JSON, *offer, b"Content-Length: %d" % len(body)) + body
        )
        assert next(answers)[0] == {b"POST": 201, b"PUT": 405}[method]


def test_a_handshake_that_no_websocket_can_begin_with_is_answered(server):
    offer = (b"Upgrade: websocket", b"Connection: Upgrade", *HANDSHAKE)
    with raw_connection(server) as sock:
        sock.sendall(head(b"GET /basic/ws", *offer, b"Cookie: " + b"c" * 10_000))
        answers = Answers(sock)
        assert next(answers)[0] == 431
        assert answers.is_at_end()


def test_no_tunnel_is_opened(server):
    with raw_connection(server) as sock:
        answers = Answers(sock)
        sock.sendall(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n")
        assert next(answers)[0] == 405

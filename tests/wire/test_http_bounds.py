"""What one HTTP client sends costs no memory and nobody else any time, without a proxy in front."""

import json
import re
import socket
import time
import uuid
from contextlib import ExitStack, suppress

import pytest

from tests.support import backend, webhook
from tests.support.raw_http import KEY, Answers, chunks, head, raw_connection
from tests.support.server import eventually

MIB = 1024 * 1024
FORGED = b"Stripe-Signature: t=%d,v1=" + b"0" * 64


@pytest.fixture(scope="module")
def server(serve):
    return serve()


def refused(server, reason):
    """Return how many requests were refused for this reason."""
    text = server.http.get("/metrics", headers=backend.KEY).text
    found = re.search(rf'^payments_http_refused_total{{reason="{reason}"}} ([\d.]+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def ask(server, *parts):
    """Send a request; return the status and body of its answer."""
    with raw_connection(server) as sock:
        for part in parts:
            sock.sendall(part)
        return next(Answers(sock))


def code(answer):
    status, body = answer
    return status, body["error"]["code"]


def test_a_hundred_fields_of_32_kib_are_taken_and_no_more(server):
    fields = [b"a%d: %s" % (n, b"b" * 250) for n in range(99)]
    assert ask(server, head(b"GET /healthz", *fields))[0] == 200
    assert code(ask(server, head(b"GET /healthz", *fields, b"a: b"))) == (431, "head_too_large")
    assert code(ask(server, head(b"GET /healthz", b"a: " + b"b" * 33_000))) == (431, "head_too_large")
    assert code(ask(server, head(b"GET /healthz?" + b"b" * 33_000))) == (431, "head_too_large")


@pytest.mark.parametrize(
    ("beginning", "unit"),
    [
        (b"GET /healthz HTTP/1.1\r\n", b"a: b\r\n"),
        (b"GET /healthz HTTP/1.1\r\na: ", b"b"),
        (b"GET /healthz HTTP/1.1\r\n", b"b"),
        (b"GET /", b"b"),
        (b"", b"\r\n"),
        (b"GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: localhost\r\n\r\n1;a=", b"b"),
        (b"GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: localhost\r\n\r\n0\r\n", b"a: b\r\n"),
    ],
    ids=["fields", "a value", "a name", "an address", "line ends", "a chunk's extension", "trailers"],
)
def test_what_never_ends_is_cut_off_and_takes_no_memory(server, beginning, unit):
    at_start, sent = server.memory(), 0
    with raw_connection(server) as sock, suppress(ConnectionError):
        sock.sendall(beginning)
        while sent < 64 * MIB:
            sock.sendall(unit * (65_536 // len(unit)))
            sent += 65_536
    assert sent < 64 * MIB
    assert server.memory() - at_start < 8


def test_what_comes_in_a_trickle_is_counted_too(server):
    with raw_connection(server) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\n")
        for n in range(102):  # a field is whole once the next begins
            sock.sendall(b"a%d: b\r\n" % n)
        assert code(next(Answers(sock))) == (431, "head_too_large")


def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(server):
    announced = b"Content-Length: %d" % (MIB + 1)
    for path in (b"/api/payments", b"/healthz", b"/webhooks/stripe/", b"/sandbox/"):
        answer = ask(server, head(b"POST " + path, KEY.strip(), announced, b"Expect: 100-continue"))
        assert code(answer) == (413, "too_large")


def test_a_client_that_sends_a_body_that_is_too_large_to_its_end_can_read_the_refusal(server):
    answer = server.http.post("/api/payments", content=b" " * (8 * MIB), headers=backend.KEY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


POST = head(b"POST /api/payments", KEY.strip(), b"Transfer-Encoding: chunked")
REFUSED = [
    (431, head(b"GET /healthz", *[b"a: b"] * 100)),
    (431, b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * 102),
    (431, b"GET /" + b"a" * 40_000),
    (413, head(b"POST /healthz", b"Content-Length: %d" % (8 * MIB))),
    (413, POST + b"800000\r\n" + b" " * (MIB + 1)),
    (400, POST + b"1;" + b"a" * 80_000),
    (400, POST + b"x"),
    (400, POST + b"1\r\n{x"),
    (400, b"nonsense\r\n"),
    (400, head(b"GET /healthz") + b"nonsense\r\n"),
    (400, head(b"POST /healthz?" + b"&" * 1000, b"Content-Length: %d" % MIB)),
    (405, head(b"CONNECT localhost:80")),
]


@pytest.mark.parametrize("more", [0, MIB], ids=["waits", "sends on"])
def test_a_refused_client_can_read_the_answer_and_its_connection_ends_soon(server, more):
    with ExitStack() as stack:
        opened = [stack.enter_context(raw_connection(server)) for _ in REFUSED]
        for sock, (_, request) in zip(opened, REFUSED, strict=True):
            sock.sendall(request)
            sock.sendall(b"0" * more)
        since, statuses = time.monotonic(), []
        for answers in map(Answers, opened):
            first = next(answers)[0]
            statuses.append(next(answers)[0] if first == 200 else first)  # 200: to the request before
            assert answers.is_at_end()
        assert statuses == [status for status, _ in REFUSED]
    assert time.monotonic() - since < 4


@pytest.mark.parametrize("path", [b"/api/payments", b"/webhooks/stripe/", b"/healthz"])
def test_a_body_without_a_length_is_counted_as_it_arrives(server, path):
    before = refused(server, "too_large")
    with raw_connection(server) as sock:
        signature = FORGED % time.time()
        sock.sendall(head(b"POST " + path, KEY.strip(), signature, b"Transfer-Encoding: chunked"))
        for _ in range(17):
            sock.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        answers = Answers(sock)
        assert code(next(answers)) == (413, "too_large")
        assert answers.is_at_end()
    assert refused(server, "too_large") == before + 1


def test_a_body_in_chunks_of_a_byte_is_a_body(server):
    order = json.dumps(backend.order(uuid.uuid4().hex)).encode()
    request = head(b"POST /api/payments", KEY.strip(), b"Transfer-Encoding: chunked")
    assert ask(server, request + chunks(*(bytes([byte]) for byte in order)))[0] == 201


def test_fields_behind_a_body_say_nothing_of_the_request(server):
    request = head(b"POST /api/payments", b"Transfer-Encoding: chunked") + b"0\r\n" + KEY + b"\r\n"
    assert code(ask(server, request)) == (401, "unauthorized")


def test_a_body_that_breaks_is_not_run_as_a_shorter_one(server, user_id):
    broken = head(b"POST /api/payments", KEY.strip(), b"Transfer-Encoding: chunked") + b"2\r\n{}\r\nx\r\n"
    with raw_connection(server) as sock:
        sock.sendall(broken)
        assert code(next(Answers(sock))) == (400, "bad_request")


@pytest.mark.parametrize(
    ("signature", "refusal"),
    [
        (b"X: y", "unsigned"),
        (b"Stripe-Signature: v1=" + b"0" * 64, "unreadable_signature"),
        (b"Stripe-Signature: t=1,v1=" + b"0" * 64, "signature_too_old"),
        (b"Stripe-Signature: t=99999999999,v1=" + b"0" * 64, "signature_too_new"),
    ],
)
def test_a_webhook_without_a_signature_of_the_right_age_is_answered_before_its_body(
    server, signature, refusal
):
    body = webhook.event()
    with raw_connection(server) as sock:
        answers = Answers(sock)
        sock.sendall(head(b"POST /webhooks/stripe/", signature, b"Content-Length: %d" % len(body)))
        assert code(next(answers)) == (400, refusal)

        sock.sendall(body)  # nobody reads it, and what follows is served
        fields = [b"%s: %s" % (k.encode(), v.encode()) for k, v in webhook.signed(body).items()]
        sock.sendall(head(b"POST /webhooks/stripe/", *fields, b"Content-Length: %d" % len(body)) + body)
        assert next(answers)[0] == 200


def test_a_client_that_holds_bodies_back_gives_way_to_one_that_sends(server):
    """Bodies that a stranger begins and does not end fill what there is room for, and not the memory."""
    at_start, before = server.memory(), refused(server, "busy")
    with ExitStack() as stack:
        held = []
        for _ in range(100):
            sock = stack.enter_context(raw_connection(server))
            signature = FORGED % time.time()
            with suppress(ConnectionError):
                sock.sendall(head(b"POST /webhooks/stripe/", signature, b"Content-Length: 1000000"))
                sock.sendall(b"x" * 999_990)
            held.append(sock)
        eventually(lambda: refused(server, "busy") > before)
        assert server.memory() - at_start < 100  # MiB, of which 64 are the bound

        assert webhook.deliver(server, webhook.event()).status_code == 200
        answers = Answers(held[0])
        assert code(next(answers)) == (503, "busy")
        assert answers.fields["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("wire", "refusal"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", (400, "bad_request")),
        (
            b"GET /basic/ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            (400, "bad_request"),
        ),
        (b"GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n", (505, "version_not_supported")),
        (b"GET /healthz HTTP/0.9\r\nHost: localhost\r\n\r\n", (505, "version_not_supported")),
        (head(b"POST /webhooks/stripe/", b"Transfer-Encoding: gzip, chunked"), (501, "coding_not_supported")),
        (
            head(b"POST /webhooks/stripe/", b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
            (501, "coding_not_supported"),
        ),
    ],
)
def test_what_http_1_1_does_not_allow_is_refused_with_what_to_send(server, wire, refusal):
    assert code(ask(server, wire)) == refusal


@pytest.mark.parametrize("length", [b"0", b"00"])
def test_a_handshake_may_say_that_it_has_no_body(server, length):
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    fields = [b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13", key]
    with raw_connection(server) as sock:
        sock.sendall(head(b"GET /basic/ws", *fields, b"Content-Length: " + length))
        assert sock.recv(12) == b"HTTP/1.1 101"


SHORT_OF_ROOM = """
from payments_project.serving import heads
heads.SUM_MAX_BYTES = 256 * 1024
import sys
sys.argv = ["manage.py", "serve"]
import manage
manage.main()
"""


def test_a_client_that_holds_heads_back_gives_way_to_one_that_sends(serve):
    """Heads that a stranger begins and does not end fill what there is room for, and not the memory."""
    server = serve("-c", SHORT_OF_ROOM)
    fields = b"".join(b"a%d: " % n + b"x" * 300 + b"\r\n" for n in range(90))
    with ExitStack() as stack:
        held = [stack.enter_context(raw_connection(server)) for _ in range(20)]
        for sock in held:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + fields)
        eventually(lambda: refused(server, "busy") >= 10)
        for sock in held[:10]:
            answers = Answers(sock)
            assert code(next(answers)) == (503, "busy")
            assert answers.fields["Retry-After"] == "5"

        held[-1].sendall(b"\r\n")
        assert next(Answers(held[-1]))[0] == 200
        with raw_connection(server) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
            sock.sendall(b"\r\n")
            assert next(Answers(sock))[0] == 200
        assert refused(server, "busy") < 20
    many = refused(server, "busy")
    for _ in range(3):  # what has gone counts no more
        with raw_connection(server) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + fields)
            sock.sendall(b"\r\n")
            assert next(Answers(sock))[0] == 200
    assert refused(server, "busy") == many


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"x" * 1_000_000, id="no JSON"),
        pytest.param(json.dumps(dict.fromkeys(map(str, range(60_000)), 1)).encode(), id="many fields"),
        pytest.param(json.dumps({"x" * 900_000: 1}).encode(), id="a long name"),
        pytest.param(json.dumps({"rideId": "x" * 900_000}).encode(), id="a long value"),
        pytest.param(b"[" * 900_000, id="deep"),
    ],
)
def test_bodies_that_are_refused_leave_nothing_behind(server, body):
    def send():
        answer = server.http.post("/api/payments", content=body, headers=backend.KEY)
        assert answer.status_code in {400, 422}
        assert len(answer.content) < 8_192

    for _ in range(5):
        send()
    at_start = server.memory()
    for _ in range(40):
        send()
    assert server.memory() - at_start < 10


def test_many_requests_at_once_are_answered_one_after_the_other_and_others_meanwhile(server):
    at_start, number = server.memory(), 250
    with raw_connection(server) as sock:
        answers = Answers(sock)
        sock.sendall(head(b"GET /healthz") * number)
        assert server.http.get("/healthz").status_code == 200
        assert [next(answers)[0] for _ in range(number)] == [200] * number
    assert server.memory() - at_start < 8


def test_a_client_that_goes_away_before_its_many_answers_is_no_error(server):
    with raw_connection(server) as sock:
        sock.settimeout(1)
        with suppress(TimeoutError):
            sock.sendall(head(b"GET /healthz") * 20_000)
    assert server.http.get("/healthz").status_code == 200


def test_what_is_no_http_is_refused_after_what_came_before_it_is_answered(server):
    order = json.dumps(backend.order(uuid.uuid4().hex)).encode()
    good = head(b"POST /api/payments", KEY.strip(), b"Content-Length: %d" % len(order)) + order
    with raw_connection(server) as sock:
        answers = Answers(sock)
        sock.sendall(good + b"GET /healthz HTTQ/1.1\r\n\r\n")
        assert next(answers)[0] == 201
        assert code(next(answers)) == (400, "bad_request")


def test_a_client_that_has_said_all_and_waits_gets_its_answer(server):
    order = json.dumps(backend.order(uuid.uuid4().hex)).encode()
    with raw_connection(server) as sock:
        answers = Answers(sock)
        sock.sendall(head(b"POST /api/payments", KEY.strip(), b"Content-Length: %d" % len(order)) + order)
        sock.shutdown(socket.SHUT_WR)
        assert next(answers)[0] == 201
        assert answers.is_at_end()


def test_between_two_requests_a_connection_may_rest_for_longer_than_a_request_may_take(impatient):
    body = webhook.event()
    early = head(b"POST /webhooks/stripe/", b"Content-Length: %d" % len(body)) + body
    for request, status in ((head(b"GET /healthz"), 200), (early, 400)):
        with raw_connection(impatient) as sock:
            answers = Answers(sock)
            sock.sendall(request)
            assert next(answers)[0] == status
            since = time.monotonic()
            assert answers.is_at_end()
            assert time.monotonic() - since > 1.5


def test_when_too_many_connect_those_that_are_in_are_served_and_the_others_refused(
    impatient, connect, user_id
):
    client = connect(impatient)
    client.register(user_id)
    with ExitStack() as stack:
        many = [stack.enter_context(raw_connection(impatient)) for _ in range(100)]
        assert code(next(Answers(many[-1]))) == (503, "full")
        assert client.receive_until_pong() == []
    eventually(lambda: impatient.http.get("/healthz").status_code == 200)
    assert "Connections are refused: 60 are open already." in impatient.log


@pytest.mark.parametrize("path", ["/checkout/success", "/admin/login/", "/api/payments", "/healthz"])
def test_too_many_parameters_are_refused_at_once_at_every_address(server, path):
    answer = server.http.get(f"{path}?" + "&".join(f"a{n}" for n in range(1001)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert "Traceback" not in server.log

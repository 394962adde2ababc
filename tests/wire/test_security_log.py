"""What a hostile request leaves behind: a count, and a line an address and minute, however often it comes."""

import re
import uuid
from collections import Counter

import jwt
import pytest

from tests.support import backend, staff, webhook
from tests.support.client import connected
from tests.support.raw_http import Answers, head, raw_connection

TIMES = 100
BYTES_A_REQUEST_MAX = 40
SECRET = "a-secret-of-enough-length-for-hs256"
HANDSHAKE = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
NOT_TEXT = bytes([0x81, 0x81]) + bytes(4) + b"\xff"


@pytest.fixture
def server(serve):
    """A server of the test's own, whose log nobody else writes."""
    return serve(
        NOTIFICATIONS_AUTH="token",
        NOTIFICATIONS_TOKEN_SECRET=SECRET,
        LOG_LEVEL="DEBUG",
    )


def call(server, path="/api/payments", **headers):
    return server.http.get(path, headers=headers).status_code


def log_in_without_a_token(server):
    return server.http.post(staff.LOGIN, data={"username": "a", "password": "b"}).status_code


def send_another_charset(server):
    form = "application/x-www-form-urlencoded; charset=utf-7"
    # Django reads a form for its token only where there is a cookie to compare it with.
    headers = {"Content-Type": form, "Cookie": f"csrftoken={'a' * 32}"}
    return server.http.post(staff.LOGIN, content=b"username=a", headers=headers).status_code


def register(server):
    with connected(server) as client:
        token = jwt.encode({"sub": "other", "exp": 2**31}, SECRET + "x", algorithm="HS256")
        client.send({"type": "register", "userId": "u", "token": token})
        assert client.receive()["code"] == "unauthorized"
        return client.close_code()


def deliver(server, **how):
    body = webhook.event()
    headers = webhook.signed(body, secret="whsec_wrong") | how
    return server.http.post("/webhooks/stripe/", content=body, headers=headers).status_code


def send_no_text(server):
    with raw_connection(server) as sock:
        sock.sendall(head(b"GET /basic/ws", *HANDSHAKE))
        assert sock.recv(65536).startswith(b"HTTP/1.1 101 ")
        sock.sendall(NOT_TEXT)
        while sock.recv(65536):
            pass


def ask_for_another_host(server, *, path=b"/", fields=()):
    with raw_connection(server) as sock:
        sock.sendall(head(b"GET " + path, *fields, host=uuid.uuid4().hex.encode() + b".example"))
        return next(Answers(sock))[0]


HOSTILE = {
    "wrong keys": (lambda s: call(s, Authorization=f"Bearer {uuid.uuid4()}"), 401, "api_key"),
    "wrong keys for metrics": (lambda s: call(s, "/metrics"), 401, "api_key"),
    "wrong tokens": (register, 4401, "token"),
    "forged signatures": (deliver, 400, "signature"),
    "foreign hosts": (ask_for_another_host, 400, "host"),
    "handshakes for foreign hosts": (
        lambda s: ask_for_another_host(s, path=b"/basic/ws", fields=HANDSHAKE),
        400,
        "host",
    ),
    "logins without a CSRF token": (log_in_without_a_token, 403, "request"),
    "forms in another character set": (send_another_charset, 400, "request"),
    "cookies that no login made": (
        lambda s: call(s, "/admin/", Cookie='sessionid="abcdefgh\\000ijklmnop"'),
        302,
        None,
    ),
    "thousands of parameters": (
        lambda s: call(s, "/admin/login/?" + "&".join(f"a{n}=1" for n in range(1001))),
        400,
        None,
    ),
    "bytes that are no text": (send_no_text, None, None),
    "requests with NUL characters": (lambda s: call(s, "/%00%7f?" + "%ff" * 50), 400, "request"),
    "requests that are none": (lambda s: call(s, "/%01%7f?" + "%ff" * 50), 404, None),
}


def test_no_hostile_request_fills_the_log(server):
    for name, (do, answer, kind) in HOSTILE.items():
        before = len(server.log)
        refused = backend.counted(server, "payments_security_refusals_total", kind=kind) if kind else 0
        answers = {do(server) for _ in range(TIMES)}

        assert answers == {answer}, name
        assert len(server.log) - before < BYTES_A_REQUEST_MAX * TIMES, name
        if kind:
            now = backend.counted(server, "payments_security_refusals_total", kind=kind)
            assert now == refused + TIMES, name

    server.stop()

    lines = re.findall(r"access\.refusals: (Refused .*)", server.log)
    assert len(lines) <= 2, "one a minute, and one at the end"
    written = Counter()
    for entry in lines:
        what = re.fullmatch(r"Refused (.+) from (127\.0\.0\.1|::/64) in the last minute\.", entry)
        for counted in what[1].split(" and "):
            number, kind = counted.split(" ", 1)
            written[kind] += int(number)
    assert written == {
        "API keys": 2 * TIMES,
        "foreign hosts": 2 * TIMES,
        "registrations": TIMES,
        "webhook signatures": TIMES,
        "suspicious requests": 3 * TIMES,
    }
    server.start()

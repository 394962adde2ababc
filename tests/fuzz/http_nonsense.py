"""Requests that are none: broken lines, two lengths, chunks, folded fields, NUL, requests behind requests, halves."""

import json
import uuid

from hypothesis import strategies as st

from tests.fuzz import wire
from tests.fuzz.drawn import for_each
from tests.fuzz.target import KEY
from tests.support import backend

METHODS = [
    b"GET",
    b"POST",
    b"PUT",
    b"HEAD",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
    b"PRI",
    b"get",
    b"",
    b"G T",
    b"\0",
]
TARGETS = [
    b"/healthz",
    b"/readyz",
    b"/metrics",
    b"/api/payments",
    b"/api/payments?limit=%00",
    b"/api/users/%2e%2e/token",
    b"/webhooks/stripe/",
    b"/admin/login/",
    b"/sandbox/pay/x",
    b"/basic/ws",
    b"/static/../manage.py",
    b"/static/%2e%2e/%2e%2e/db.sqlite3",
    b"/.env",
    b"*",
    b"//evil.example/",
    b"http://evil.example/",
    b"/\xff\xfe",
    b"/%ff%00",
    b"/?" + b"&" * 2000,
    b"/" + b"a" * 40_000,
    b"",
    b"?",
]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.", b"HTTQ/1.1", b"http/1.1", b""]
FIELDS = [
    b"Host: localhost",
    b"Host: evil.example",
    b"Host: localhost:port",
    b"Host: \xff",
    b"Host:",
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Content-Length: -1",
    b"Content-Length: +5",
    b"Content-Length: 5, 6",
    b"Content-Length: 99999999999999999999999",
    b"Content-Length: 0x5",
    b"Content-Length : 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Expect: 100-continue",
    b"Expect: nonsense",
    b"Connection: close",
    b"Connection: Upgrade",
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Protocol: \xff",
    b"Authorization: Bearer nonsense",
    b"Authorization: Basic eDp5",
    b"Authorization:\r\n Bearer folded",
    b"Stripe-Signature: t=1,v1=" + b"0" * 64,
    b"Content-Type: application/json; charset=utf-16",
    b"Content-Encoding: gzip",
    b"Content-Type: application/x-www-form-urlencoded; charset=utf-7",
    b"Content-Type: multipart/form-data; charset=idna; boundary=x",
    b"Cookie: sessionid=\x01\x02",
    b'Cookie: sessionid="abcdefgh\\000ijklmnop"; csrftoken=' + b"a" * 32,
    b"X-Forwarded-For: \xff, ::1, %",
    b"X-Forwarded-Host: evil.example",
    b" folded: from nothing",
    b"no colon",
    b": no name",
    b"NUL\0: x",
    b"x: \0",
    b"x: \r\r",
    b"\xff: x",
    b"X: " + b"a" * 33_000,
]
BODIES = [
    b"",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"-1\r\nhello\r\n",
    b"ffffffffffffffffff\r\n",
    b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    b"0\r\nX: y\r\n\r\n",
    b"5\r\nhell",
    b"5\nhello\n0\n\n",
    b'{"rideId": "a"',
]
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n"]

_ORDER = json.dumps(backend.order(f"hidden-{uuid.UUID(int=0)}")).encode()
HIDDEN = (
    b"POST /api/payments HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n"
    % (KEY["Authorization"].encode(), len(_ORDER))
) + _ORDER
"""A request that would be run if a proxy and the service disagreed on where the one around it ends."""
LENGTHS = [
    [b"Content-Length: 6", b"Transfer-Encoding: chunked"],
    [b"Transfer-Encoding: chunked", b"Content-Length: 6"],
    [b"Content-Length: 0", b"Content-Length: 6"],
    [b"Content-Length: 0, 6"],
    [b"Content-Length: 6 6"],
    [b"Content-Length: +6"],
    [b"Content-Length: 0x6"],
    [b"Content-Length : 6"],
    [b"Transfer-Encoding : chunked"],
    [b"Transfer-Encoding: xchunked"],
    [b"Transfer-Encoding: chunked, identity"],
    [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
    [b"Transfer-Encoding:\x0bchunked"],
    [b"Transfer-Encoding:", b" chunked", b"Content-Length: 6"],
]
"""Fields that say in two ways, or in none that is right, where a body ends."""


@st.composite
def _requests(draw):
    end = draw(st.sampled_from(ENDS))
    line = b" ".join(draw(st.sampled_from(part)) for part in (METHODS, TARGETS, VERSIONS))
    fields = draw(st.lists(st.one_of(st.sampled_from(FIELDS), st.binary(max_size=40)), max_size=8))
    body = draw(st.sampled_from(BODIES) | st.binary(max_size=100))
    return end.join([line, *fields, b"", b""]) + body


def _data():
    several = st.lists(_requests(), min_size=1, max_size=4).map(b"".join)
    cut = st.builds(lambda data, share: data[: int(len(data) * share)], several, st.floats(0, 1))
    return st.one_of(several, cut, st.binary(max_size=300))


def run(target, tally, *, seed, inputs):
    """Send nonsense; it is refused, or cut off, and whatever hides in it is not run."""

    @for_each(_data(), seed=seed, inputs=inputs)
    def send(data):
        tally.inputs += 1
        wire.count(tally, wire.exchange(target, data), data)

    for fields in LENGTHS:
        tally.inputs += 1
        data = b"\r\n".join(
            [b"POST /healthz HTTP/1.1", b"Host: localhost", *fields, b"", b"0\r\n\r\n" + HIDDEN]
        )
        statuses = wire.count(tally, wire.exchange(target, data), data)
        assert set(statuses) <= {400, 501}, f"{statuses} to {data!r}"

"""However the network cuts what clients send, the same requests come out of it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_project.serving.http_parser import HEAD_TOO_LARGE, MALFORMED, RequestParser
from payments_project.serving.limits import HEAD_MAX_BYTES

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"


class Recorder:
    """Takes what a parser finds, as uvicorn's protocol does."""

    def __init__(self):
        self.headers, self.url = [], b""
        self.requests, self.refusals = [], []
        self.parser = RequestParser(self)

    def on_message_begin(self):
        self.headers, self.url, self.body = [], b"", b""

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers.append((name.lower(), value))

    def on_headers_complete(self):
        self.method = self.parser.get_method()

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.requests.append((self.method, self.url, dict(self.headers), self.body))

    def is_answering(self):
        return False

    def refuse(self, refusal):
        self.refusals.append(refusal)


PLAIN = (b"GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n", (b"GET", b"/a?b", {b"host": b"h"}, b""))
LENGTH = (
    b"POST /b HTTP/1.1\r\nHost: h\r\n" + H2C + b"Content-Length: 5\r\n\r\nGET /",
    (
        b"POST",
        b"/b",
        {
            b"host": b"h",
            b"connection": b"http2-settings",
            b"http2-settings": b"AAMA",
            b"content-length": b"5",
        },
        b"GET /",
    ),
)
CHUNKED = (
    (
        b"PUT /c HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: TLS/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nAuthorization: no\r\n\r\n"
    ),
    (b"PUT", b"/c", {b"host": b"h", b"transfer-encoding": b"chunked"}, b"abcd"),
)
NO_BODY = (
    b"\r\nGET /d HTTP/1.1\r\nHost: h\r\nUpgrade: h2c, foo/2\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n\r\n",
    (b"GET", b"/d", {b"host": b"h", b"connection": b"keep-alive"}, b""),
)
NOT_A_HANDSHAKE = (
    b"POST /basic/ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\nx",
    (b"POST", b"/basic/ws", {b"host": b"h", b"content-length": b"1"}, b"x"),
)
OLD = (
    b"POST /e HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
    (b"POST", b"/e", {b"host": b"h", b"upgrade": b"h2c", b"content-length": b"2"}, b"hi"),
)


@given(
    pairs=st.lists(
        st.sampled_from([PLAIN, LENGTH, CHUNKED, NO_BODY, NOT_A_HANDSHAKE, OLD]), min_size=1, max_size=5
    ),
    cuts=st.sets(st.integers(min_value=1, max_value=900), max_size=30),
)
def test_requests_are_the_same_however_they_are_cut(pairs, cuts):
    wire = b"".join(sent for sent, _ in pairs)
    places = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
    recorder = Recorder()
    for start, end in itertools.pairwise(places):
        recorder.parser.feed_data(wire[start:end])

    assert recorder.requests == [meant for _, meant in pairs]
    assert recorder.refusals == []
    assert recorder.parser.is_between


@given(size=st.integers(min_value=1, max_value=4096), unit=st.sampled_from([b"a: b\r\n", b"x", b"a:", b" "]))
def test_a_head_without_end_is_refused_once_it_is_too_large_however_it_is_cut(size, unit):
    recorder, sent = Recorder(), 0
    data = b"GET / HTTP/1.1\r\nHost: h\r\na: b\r\n" + unit * 60_000
    while not recorder.refusals:
        recorder.parser.feed_data(data[sent : sent + size])
        sent += size
    assert recorder.refusals[0] in {HEAD_TOO_LARGE, MALFORMED}
    assert sent <= HEAD_MAX_BYTES + 3 * 4096


@pytest.mark.parametrize(
    "wire",
    [
        b"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 3\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_two_servers_may_read_differently_is_refused(wire):
    recorder = Recorder()
    recorder.parser.feed_data(wire)
    assert recorder.refusals == [MALFORMED]
    assert recorder.requests == []

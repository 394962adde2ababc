"""A WebSocket that sends more frames than any client has to is sent away, and the others do not wait for it."""

import re
import struct
import threading
from contextlib import suppress

import pytest

from notifications.protocol import CloseCode
from tests.support import backend
from tests.support.raw_http import head, raw_connection

HANDSHAKE = head(
    b"GET /basic/ws",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
TOO_BIG, NOT_TEXT, BROKEN = 1009, 1007, 1002


@pytest.fixture(scope="module")
def server(serve):
    return serve()


def frame(opcode, payload=b"", *, is_last=True):
    """Return a frame as a client sends it, of at most 125 bytes."""
    return bytes([opcode | 0x80 * is_last, 0x80 | len(payload)]) + bytes(4) + payload


def opened(sock):
    sock.sendall(HANDSHAKE)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 ")
    return sock


def close_code(sock):
    """Return the code of the close frame; None where the connection ends without one."""
    file = sock.makefile("rb")
    with suppress(ConnectionResetError):
        while first := file.read(2):
            length = first[1] if first[1] < 126 else struct.unpack("!H", file.read(2))[0]
            payload = file.read(length)
            if first[0] & 15 == CLOSE:
                return struct.unpack("!H", payload[:2])[0]
    return None


FLOODS = {
    "pings": frame(PING),
    "pongs": frame(PONG),
    "empty texts": frame(TEXT),
    "empty binaries": frame(BINARY),
    "nonsense": frame(TEXT, b"x"),
    "pings within a message": frame(PING),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_who_sends_many_frames_at_once_is_sent_away_and_nobody_waits(server, connect, user_id, kind):
    other = connect(server)
    other.register(user_id)
    at_start = server.memory()
    with raw_connection(server) as sock:
        opened(sock)
        if kind == "pings within a message":
            sock.sendall(frame(TEXT, b"x", is_last=False))
        codes = []
        reader = threading.Thread(target=lambda: codes.append(close_code(sock)))
        reader.start()
        sent = 0
        with suppress(ConnectionError, TimeoutError):
            while sent < 2_000_000:
                sock.sendall(FLOODS[kind] * 1000)
                sent += 1000
        reader.join()

    assert codes == [CloseCode.TOO_MANY]
    assert sent < 2_000_000
    assert other.receive_until_pong() == []
    assert server.memory() - at_start < 8


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_a_message_in_pieces_without_end_is_too_big(server, payload):
    at_start = server.memory()
    with raw_connection(server) as sock:
        opened(sock)
        sock.sendall(frame(TEXT, b"x", is_last=False) + frame(CONTINUATION, payload, is_last=False) * 400)
        assert close_code(sock) == TOO_BIG
    assert server.memory() - at_start < 8


def test_a_message_may_come_in_sixteen_pieces(server):
    ping = b'{"type":   "ping"}'
    assert len(ping) > 17
    for pieces, answer in ((16, b'{"type":"pong"}'), (17, struct.pack("!H", TOO_BIG))):
        with raw_connection(server) as sock:
            opened(sock)
            sock.sendall(frame(TEXT, ping[:1], is_last=False))
            for n in range(1, pieces - 1):
                sock.sendall(frame(CONTINUATION, ping[n : n + 1], is_last=False))
            sock.sendall(frame(CONTINUATION, ping[pieces - 1 :]))
            assert answer in sock.recv(4096)


BROKEN_MESSAGES = {
    "bytes that are no UTF-8": (frame(TEXT, b"\xff"), NOT_TEXT),
    "half a surrogate pair": (frame(TEXT, b"\xed\xa0\x80"), NOT_TEXT),
    "a character that has no end": (
        frame(TEXT, b"\xc3", is_last=False) + frame(CONTINUATION, b"x"),
        NOT_TEXT,
    ),
    "many that are no UTF-8": (frame(TEXT, b"\xff") * 400, NOT_TEXT),
    "a reason to close that is no UTF-8": (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), NOT_TEXT),
    "a code that nobody may send": (frame(CLOSE, struct.pack("!H", 1)), BROKEN),
    "a kind of frame that there is not": (frame(3, b"x"), BROKEN),
    "a continuation of nothing": (frame(CONTINUATION, b"x"), BROKEN),
}


@pytest.mark.parametrize("kind", BROKEN_MESSAGES)
def test_a_broken_message_closes_the_connection_and_leaves_no_traceback(server, kind):
    sent, code = BROKEN_MESSAGES[kind]
    with raw_connection(server) as sock:
        opened(sock)
        sock.sendall(sent)
        assert close_code(sock) == code
    assert "Traceback" not in server.log


def test_a_close_behind_a_text_that_is_no_utf8_is_no_error(server):
    with raw_connection(server) as sock:
        opened(sock)
        sock.sendall(frame(TEXT, b"\xff") + frame(CLOSE, struct.pack("!H", 1000)))
        assert close_code(sock) in {NOT_TEXT, 1000}
    assert "Traceback" not in server.log


def test_a_character_may_come_in_two_pieces(server):
    with raw_connection(server) as sock:
        opened(sock)
        sock.sendall(frame(TEXT, b"\xc3", is_last=False) + frame(CONTINUATION, b"\xa9"))
        assert b"Invalid message format" in sock.recv(4096)


def test_a_close_behind_a_flood_is_no_error(server):
    with raw_connection(server) as sock:
        opened(sock)
        sock.sendall(frame(PONG) * 600 + frame(CLOSE, struct.pack("!H", 1000)))
        assert close_code(sock) in {CloseCode.TOO_MANY, 1000}
    assert server.http.get("/healthz").status_code == 200


def test_those_that_were_sent_away_are_counted(server):
    def counted():
        text = server.http.get("/metrics", headers=backend.KEY).text
        found = re.search(r'^notifications_closed_total{code="4429"} ([\d.]+)$', text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    before = counted()
    with raw_connection(server) as sock:
        opened(sock)
        sock.sendall(frame(PONG) * 1000)
        assert close_code(sock) == CloseCode.TOO_MANY
    assert counted() == before + 1

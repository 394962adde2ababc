"""Handshakes and frames below the WebSocket's rules: masks, kinds, lengths, reserved bits, codes of closes."""

import struct

from hypothesis import strategies as st

from tests.fuzz import wire
from tests.fuzz.drawn import for_each

GOOD = [
    b"Host: localhost",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]
ODD = [
    b"Sec-WebSocket-Version: 8",
    b"Sec-WebSocket-Version: \xff",
    b"Sec-WebSocket-Key: short",
    b"Sec-WebSocket-Key:",
    b"Sec-WebSocket-Protocol: \xff\xfe",
    b"Sec-WebSocket-Protocol: ,,,",
    b"Sec-WebSocket-Protocol: bearer.x, bearer.y",
    b"Sec-WebSocket-Protocol: " + b", ".join(b"p%d" % n for n in range(2000)),
    b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99999",
    b"Sec-WebSocket-Extensions: \0",
    b"Connection: close",
    b"Upgrade: h2c",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Origin: null",
    b"Origin: \xff",
    b"Cookie: sessionid=\xff",
    b"Host: evil.example",
]
NOT_READ, INTERNAL = 1005, 1011


@st.composite
def _handshakes(draw):
    fields = list(GOOD)
    for odd in draw(st.lists(st.sampled_from(ODD), min_size=1, max_size=3)):
        name = odd.partition(b":")[0]
        if draw(st.booleans()):
            fields = [field for field in fields if field.partition(b":")[0] != name]
        fields.insert(draw(st.integers(0, len(fields))), odd)
    return _request(fields)


def _request(fields):
    return b"\r\n".join([b"GET /basic/ws HTTP/1.1", *fields, b"", b""])


@st.composite
def _frames(draw):
    first = draw(st.integers(0, 15)) | draw(st.sampled_from([0x80, 0x80, 0x00, 0xC0, 0xF0]))
    payload = draw(st.binary(max_size=200))
    if first & 15 == 8:
        payload = struct.pack("!H", draw(st.integers(0, 65_535))) + payload[: draw(st.integers(0, 130))]
    mask = draw(st.sampled_from([0x80, 0x80, 0x80, 0x00]))
    said = draw(st.sampled_from([len(payload)] * 6 + [0, 2**14 + 1, 2**31, 2**63 - 1, 2**64 - 1]))
    if said < 126 and draw(st.integers(0, 5)):
        length = bytes([mask | said])
    elif said < 65_536 and draw(st.integers(0, 5)):
        length = bytes([mask | 126]) + struct.pack("!H", said)
    else:
        length = bytes([mask | 127]) + struct.pack("!Q", said)
    return bytes([first]) + length + bytes(4 if mask else 0) + payload


def _data():
    frames = st.lists(st.one_of(_frames(), _frames(), st.binary(max_size=50)), max_size=8).map(b"".join)
    spoken = frames.map(lambda data: _request(GOOD) + data)
    cut = st.builds(lambda data, share: data[: int(len(data) * share)], spoken, st.floats(0, 1))
    return st.one_of(spoken, spoken, cut, st.builds(bytes.__add__, _handshakes(), frames))


def run(target, tally, *, seed, inputs):
    """Send nonsense; the server says what is wrong by a status or by a code of the contract, never that it broke."""

    @for_each(_data(), seed=seed, inputs=inputs)
    def send(data):
        tally.inputs += 1
        received = wire.exchange(target, data)
        head, _, frames = received.partition(b"\r\n\r\n")
        statuses = wire.count(
            tally, received if not head.startswith(b"HTTP/1.1 101 ") else head + b"\r\n", data
        )
        if statuses[:1] == [101]:
            _judge(tally, frames, data)


def _judge(tally, received, sent):
    """Read the server's frames: whole, without a mask, of known kinds, with a code that is not its own fault."""
    while len(received) >= 2:
        kind, length = received[0], received[1]
        assert kind in {0x81, 0x88, 0x89, 0x8A}, f"a frame of kind {kind:#x} to {sent!r}"[:2000]
        start = 2
        if length == 126:
            (length,), start = struct.unpack("!H", received[2:4]), 4
        payload, received = received[start : start + length], received[start + length :]
        assert len(payload) == length, f"half a frame to {sent!r}"[:2000]
        if kind == 0x88:
            code = struct.unpack("!H", payload[:2])[0] if payload else NOT_READ
            tally.answers[code if code in {1000, 1002, 1007, 1009} else "another close"] += 1
            assert code != INTERNAL, f"closed with {code} after {sent!r}"[:2000]

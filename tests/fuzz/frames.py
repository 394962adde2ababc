"""Frames on the WebSocket: text, JSON of odd types, bytes, fragments, what is no UTF-8, what is too large."""

import json
import uuid
from contextlib import ExitStack, suppress

from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from notifications.protocol import MESSAGE_MAX_BYTES
from payments_project.serving.limits import FRAGMENTS_MAX
from tests.fuzz.drawn import TEXT, VALUES, for_each
from tests.support import frames

MESSAGES_A_SOCKET = 200
"""Fewer than a client may send at once."""
CLOSES = {1000, 1002, 1007, 1009, 4401}
LITERALS = [
    '{"type":"register","userId":"a","lastSeq":' + "9" * 5000 + "}",
    '{"type":"register","userId":"a","lastSeq":1e999}',
    "[" * 5000,
    '{"a":' * 1000,
    '{"type":"ping","type":"register","userId":"a"}',
    "",
    "\ufeff{}",
    '{"type":"ping"}' + " " * (MESSAGE_MAX_BYTES - 15),
    '{"type":"ping"}' + " " * (MESSAGE_MAX_BYTES - 14),
]


def _objects(tokens):
    """Return objects with the names that the service reads, and with others."""
    types = st.sampled_from(["register", "ping", "pong", "error", "Register", "ping\0"]) | VALUES
    values = {"userId": TEXT | VALUES, "token": tokens | VALUES, "lastSeq": VALUES, "epoch": VALUES}
    return st.fixed_dictionaries({"type": types}, optional=values | {"__proto__": VALUES})


def _registrations(target):
    """Return registrations that are good but for what hypothesis draws into them."""

    def build(user_id, more):
        return {"type": "register", "userId": user_id, "token": target.token(user_id)} | more

    more = st.fixed_dictionaries({}, optional={"lastSeq": VALUES, "epoch": VALUES, "x": VALUES})
    return st.builds(build, st.just(f"fuzz-{uuid.UUID(int=0).hex}"), more)


def _messages(target):
    """Return what `send` of websockets takes, each with whether it goes as a text frame."""
    objects = st.one_of(VALUES, _objects(TEXT), _registrations(target)).map(json.dumps)
    texts = st.one_of(objects, st.sampled_from(LITERALS), st.text(max_size=300)).map(str.encode)
    pieces = st.lists(st.binary(max_size=20), min_size=1, max_size=20)
    return st.one_of(
        st.tuples(texts, st.just(True)),
        st.tuples(st.one_of(st.binary(max_size=300), pieces), st.booleans()),
    )


def run(target, tally, *, seed, inputs):
    """Send messages; each is answered by a frame of the contract, or by a close that the contract names."""
    with ExitStack() as stack:
        sockets = _Sockets(target, tally, stack)

        @for_each(_messages(target), seed=seed, inputs=inputs)
        def send(message):
            tally.inputs += 1
            sockets.send(*message)


class _Sockets:
    """One connection after the other."""

    def __init__(self, target, tally, stack):
        self._url = target.server.url.replace("http", "ws", 1) + "/basic/ws"
        self._tally, self._stack = tally, stack
        self._socket, self._left = None, 0

    def _connect(self):
        self._stack.close()
        self._left = MESSAGES_A_SOCKET
        return self._stack.enter_context(
            connect(self._url, proxy=None, ping_interval=None, max_size=None, close_timeout=1)
        )

    def send(self, payload, is_text):
        if not self._left:
            self._socket = self._connect()
        self._left -= 1
        try:
            with suppress(ConnectionClosed):  # the server may close before the last fragment
                self._socket.send(payload, text=is_text)
            answer = json.loads(self._socket.recv(timeout=10))
            self._judge(answer, payload)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
            self._tally.answers[code] += 1
            self._left = 0
            # A client that goes on sending may lose the code of the server's close: TCP drops it.
            is_lost = code is None and isinstance(payload, list) and len(payload) > FRAGMENTS_MAX
            assert code in CLOSES or is_lost, f"closed with {code} after {payload!r}"[:2000]

    def _judge(self, answer, payload):
        kind = answer.get("code") or answer["type"]
        self._tally.answers[kind] += 1
        is_known = answer in (frames.INVALID, {"type": "pong"}) or kind in {
            "registration_success",
            "unauthorized",
        }
        assert is_known, f"{answer} after {payload!r}"[:2000]

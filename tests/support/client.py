"""A rider's web client: a WebSocket, and what comes over it."""

import json
import time
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support import backend, frames, sandbox


@contextmanager
def connected(
    server, path="/basic/ws", *, through=None, subprotocols=None, page=None, cookie=None, forwarded_for=None
):
    """A client that is connected, and not registered yet; `through`: by way of a proxy.

    `page`: the origin of the page that connects; `cookie`: what the browser sends with it; `forwarded_for`: the address
    that a proxy names.
    """
    origin = f"ws://127.0.0.1:{through.port}" if through else server.url.replace("http", "ws", 1)
    url = origin + path
    # No pings and no bound of the client's own: whether a connection lives on is the server's doing.
    options = {"ping_interval": None, "close_timeout": 5, "max_size": None, "origin": page}
    fields = {"Cookie": cookie, "X-Forwarded-For": forwarded_for}
    options["additional_headers"] = {name: value for name, value in fields.items() if value}
    # No proxy of the developer's environment between a test and its server.
    with connect(url, proxy=None, subprotocols=subprotocols, **options) as socket:
        yield Client(server, socket)


class Client:
    def __init__(self, server, socket):
        self.user_id = None
        self._server = server
        self._socket = socket

    @property
    def port(self):
        """The port it connects from."""
        return self._socket.local_address[1]

    @property
    def subprotocol(self):
        """What the service selected of the subprotocols that were offered."""
        return self._socket.subprotocol

    def send(self, message):
        """Send text or bytes as they are, anything else as JSON."""
        self._socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def receive(self, *, seconds=15):
        """Return the next frame, without regard to the order of its keys."""
        return json.loads(self.receive_text(seconds=seconds))

    def receive_text(self, *, seconds=15):
        text = self._socket.recv(timeout=seconds)
        assert isinstance(text, str), "the service sends text frames only"
        return text

    def register(self, user_id, **more):
        """Register; return the answer."""
        self.user_id = user_id
        self.send({"type": "register", "userId": user_id, **more})
        return self.receive()

    def receive_until(self, last):
        """Return all frames up to `last`, without it."""
        received = []
        while (frame := self.receive()) != last:
            received.append(frame)
        return received

    def receive_until_pong(self):
        """Return the frames that come before a ping is answered."""
        self.send({"type": "ping"})
        return self.receive_until({"type": "pong"})

    def receive_all(self):
        """Return all that is sent of what happened so far: the link of one more payment marks its end."""
        sandbox.wait_until_delivered(self._server)
        return self.receive_until(frames.link(backend.ask(self._server, self.user_id)))

    def close(self):
        """Close the connection as a page does that is left: later than its last frame could have crossed it."""
        # A close that crosses a frame confirms nothing (docs/decisions/0013-confirmed-without-acknowledgement.md), and
        # no condition shows how far a frame has got.
        time.sleep(0.5)
        self._socket.close(1001)

    def close_code(self):
        """Return the code that the server closes the connection with; fail on any frame before."""
        try:
            frame = self._socket.recv(timeout=15)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
        raise AssertionError(f"The connection is open: {frame}")

    def ping_protocol(self):
        """Send a ping of the WebSocket protocol itself; return whether it is answered."""
        return self._socket.ping().wait(timeout=15)

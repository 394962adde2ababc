"""A rider's web client: a WebSocket, and what comes over it."""

import json
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


@contextmanager
def connected(server, path="/basic/ws"):
    """A client that is connected, and not registered yet."""
    url = server.url.replace("http", "ws", 1) + path
    with connect(url, proxy=None, ping_interval=None, close_timeout=5, max_size=None) as socket:
        yield Client(socket)


class Client:
    def __init__(self, socket):
        self._socket = socket

    def send(self, message):
        """Send text or bytes as they are, anything else as JSON."""
        self._socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def receive(self, *, seconds=15):
        """Return the next frame. Its keys have an order, so compare texts where that matters."""
        return json.loads(self.receive_text(seconds=seconds))

    def receive_text(self, *, seconds=15):
        text = self._socket.recv(timeout=seconds)
        assert isinstance(text, str), "the service sends text frames only"
        return text

    def register(self, user_id, **more):
        """Register; return the answer."""
        self.send({"type": "register", "userId": user_id, **more})
        return self.receive()

    def receive_until(self, last):
        """Return all frames up to `last`, without it."""
        frames = []
        while (frame := self.receive()) != last:
            frames.append(frame)
        return frames

    def receive_until_pong(self):
        """Return the frames that were on their way when a ping is answered."""
        self.send({"type": "ping"})
        return self.receive_until({"type": "pong"})

    def close_code(self, *, seconds=15):
        """Return the code that the server closes the connection with; fail on any frame before."""
        try:
            frame = self._socket.recv(timeout=seconds)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
        raise AssertionError(f"The connection is open: {frame}")

    def ping_protocol(self):
        """Send a ping of the WebSocket protocol itself; return whether it is answered."""
        return self._socket.ping().wait(timeout=15)

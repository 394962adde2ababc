"""HTTP by hand, for what no client library sends."""

import http.client
import json
import socket
from contextlib import contextmanager

KEY = b"Authorization: Bearer dev-key\r\n"


@contextmanager
def raw_connection(server):
    """A connection over which bytes go as they are, each call in packets of its own."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        # Else the system would join small writes into one packet.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def head(request, *fields, host=b"localhost"):
    """Return a request line and fields, and what ends them."""
    return b"\r\n".join([request + b" HTTP/1.1", b"Host: " + host, *fields, b"", b""])


def chunks(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])


class Answers:
    """The answers that come over a connection, one after the other."""

    def __init__(self, sock):
        self._file = sock.makefile("rb")

    def __next__(self):
        """Return the status and the body of the next answer, parsed where it is JSON."""
        response = http.client.HTTPResponse(_Readable(self._file), method="POST")
        response.begin()
        body = response.read()
        is_json = response.getheader("content-type", "").startswith("application/json")
        self.fields = response.headers
        return response.status, json.loads(body) if is_json else body

    def is_at_end(self):
        """Return whether the server closes the connection, and says nothing before."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True


class _Readable:
    """What http.client takes for a socket: it reads no further than the end of its answer."""

    def __init__(self, file):
        self._file = file

    def makefile(self, mode):
        return _Unclosable(self._file)


class _Unclosable:
    def __init__(self, file):
        self.read, self.readline, self.readinto, self.flush = (
            file.read,
            file.readline,
            file.readinto,
            file.flush,
        )

    def close(self):
        """Answers follow."""

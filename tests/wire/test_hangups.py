"""A client that hangs up in the midst of an answer is no error: the log holds no traceback, and the others are served."""

import socket
import struct
from contextlib import suppress

import pytest

from tests.support.raw_http import head, raw_connection

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with 0 seconds: closing sends a reset."""
FILE = head(b"GET /static/unfold/css/styles.css")
HANDSHAKE = head(
    b"GET /basic/ws",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


def hang_up(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


@pytest.mark.parametrize(
    "asked",
    [
        FILE,
        FILE * 20,
        head(b"GET /api/docs"),
        head(b"GET /admin/login/") * 5,
        head(b"GET /healthz") * 1000,
        head(b"POST /api/payments", b"Content-Length: 9999999"),
        HANDSHAKE,
        HANDSHAKE + b"\x8a\x80abcd" * 100,  # pongs
    ],
    ids=[
        "a file",
        "files in a pipeline",
        "a page",
        "pages in a pipeline",
        "many answers",
        "a refusal",
        "a handshake",
        "frames",
    ],
)
@pytest.mark.parametrize("reads", [0, 100], ids=["at once", "after the first bytes"])
def test_a_client_that_resets_its_connection_during_an_answer_leaves_no_traceback(server, asked, reads):
    for _ in range(40):
        with raw_connection(server) as sock:
            with suppress(ConnectionError):
                sock.sendall(asked)
                sock.recv(reads)
            hang_up(sock)
    assert server.http.get("/healthz").status_code == 200
    assert "Traceback" not in server.log

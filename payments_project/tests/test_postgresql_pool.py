"""The pool in front of a server that takes each login, and ends the connection at the first query.

So does a pooler whose database is away.
"""

import socketserver
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
from django.db import ConnectionHandler

from payments_project.configuration.databases import database
from payments_project.postgresql import base


def message(kind, body):
    """Return a message: https://www.postgresql.org/docs/current/protocol-message-formats.html."""
    return kind + struct.pack("!I", len(body) + 4) + body


PARAMETERS = {
    "server_version": "17.0",
    "client_encoding": "UTF8",
    "TimeZone": "UTC",
    "in_hot_standby": "off",
    "default_transaction_read_only": "off",
}
LOGGED_IN = b"".join(
    [
        message(b"R", struct.pack("!I", 0)),
        *(message(b"S", f"{name}\0{value}\0".encode()) for name, value in PARAMETERS.items()),
        message(b"Z", b"I"),
    ]
)


class HangingUp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(4096)
        self.request.sendall(LOGGED_IN)
        self.request.recv(4096)


@contextmanager
def hanging_up():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), HangingUp) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_caller_waits_no_longer_than_its_patience_for_a_connection_that_works(monkeypatch):
    monkeypatch.setattr(base, "PATIENCE_SECONDS", 0.5)
    with ThreadPoolExecutor(1) as caller, hanging_up() as port:
        url = f"postgresql://user@127.0.0.1:{port}/name?sslmode=disable"
        away = ConnectionHandler({"default": {}, "away": database(url)})["away"]
        asked = caller.submit(away.get_new_connection, away.get_connection_params())
        try:
            assert isinstance(asked.exception(timeout=10), psycopg.OperationalError)
        finally:
            away.close_pool()
            base.outage.is_over()

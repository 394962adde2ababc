"""A pooler in transaction mode, as PgBouncer is one: each transaction may go to another session of PostgreSQL.

It takes the session that has been idle for longest, so that no two transactions in a row meet the same one.
https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import os
import queue
import socket
import struct
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import psycopg

from tests.support.database import Database

NO_ENCRYPTION = {80877103, 80877104}
"""The codes by which a client asks for TLS or GSSAPI before it says anything else."""
REPORTED = (
    "server_version",
    "server_encoding",
    "client_encoding",
    "DateStyle",
    "TimeZone",
    "integer_datetimes",
)
REPORTED_TOO = (
    "standard_conforming_strings",
    "IntervalStyle",
    "in_hot_standby",
    "default_transaction_read_only",
)
ENDS_A_TURN = {b"Q", b"S"}
"""Query and Sync: the server says whether it is ready after each."""


class Pooler:
    """Listens on 127.0.0.1 and leads to a database. A context manager.

    `keeps_track`: of what each client has prepared, as PgBouncer does from 1.21 on.
    """

    def __init__(self, database, *, keeps_track=False, sessions=3):
        self._target = database.url
        self.keeps_track = keeps_track
        self._idle = queue.SimpleQueue()
        self._sessions = [_Session(database.url) for _ in range(sessions)]
        self._clients = set()
        for session in self._sessions:
            self._idle.put(session)

    def __enter__(self):
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, name="pooler", daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for sock in tuple(self._clients):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for session in self._sessions:
            session.close()

    @property
    def database(self):
        """The database, as it is reached by way of the pooler."""
        url = urlsplit(self._target)
        name = f"{url.username or 'postgres'}@127.0.0.1:{self._listening.getsockname()[1]}"
        return Database(url._replace(netloc=name, query="sslmode=disable").geturl())

    def prepared(self):
        """Return the names of what is prepared in the sessions, which are idle."""
        return {name for session in self._sessions for name in session.prepared()}

    def _accept(self):
        with suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        self._clients.add(sock)
        try:
            with sock, sock.makefile("rb") as file:
                if self._greet(sock, file):
                    self._lead(sock, file)
        except OSError:
            pass
        finally:
            self._clients.discard(sock)

    def _greet(self, sock, file):
        """Let a client in, with a process id and a key that are made up."""
        while True:
            length, code = struct.unpack("!II", file.read(8))
            file.read(length - 8)
            if code not in NO_ENCRYPTION:
                break
            sock.sendall(b"N")
        if code >> 16 != 3:  # it asks to cancel something
            return False
        reported = b"".join(_message(b"S", *pair) for pair in self._sessions[0].reported)
        key = b"K" + struct.pack("!I", 12) + os.urandom(8)
        sock.sendall(b"R" + struct.pack("!II", 8, 0) + reported + key + b"Z" + struct.pack("!I", 5) + b"I")
        return True

    def _lead(self, sock, file):
        """Pass on what a client says until it leaves, each transaction to the next session."""
        statements, session, left = {}, None, False
        while not left:
            head = file.read(5)
            left = len(head) < 5 or head[:1] == b"X"
            if left and session is None:
                return
            session = session or self._idle.get()
            if left:
                # The client may have left within a transaction. The next one must not find itself in it.
                session.ask(_message(b"Q", b"ROLLBACK"))
            else:
                body = file.read(struct.unpack("!I", head[1:])[0] - 4)
                if self.keeps_track:
                    head, body, answer = _renamed(head, body, statements, session)
                    sock.sendall(answer)
                session.send(head + body)
                if head[:1] not in ENDS_A_TURN:
                    continue
                answer, status = session.answer()
                sock.sendall(answer)
                if status != b"I":
                    continue
            self._idle.put(session)
            session = None


class _Session:
    """A connection to PostgreSQL, whose socket is spoken to past the driver."""

    def __init__(self, url):
        self._connection = psycopg.connect(url, sslmode="disable", gssencmode="disable", autocommit=True)
        names = [name.encode() for name in REPORTED + REPORTED_TOO]
        found = [(name, self._connection.pgconn.parameter_status(name)) for name in names]
        self.reported = [pair for pair in found if pair[1] is not None]
        self.names = set()
        self._sock = socket.socket(fileno=os.dup(self._connection.fileno()))
        self._sock.setblocking(True)
        self._file = self._sock.makefile("rb")

    def send(self, data):
        self._sock.sendall(data)

    def ask(self, data):
        self.send(data)
        return self.answer()[0]

    def answer(self):
        """Return all messages until it is ready, and its transaction's status."""
        read = b""
        while True:
            head = self._file.read(5)
            body = self._file.read(struct.unpack("!I", head[1:])[0] - 4)
            read += head + body
            if head[:1] == b"Z":
                return read, body

    def prepared(self):
        names = self.ask(_message(b"Q", b"SELECT 'name=' || name FROM pg_prepared_statements"))
        return {part.partition(b"D")[0].partition(b"C")[0].decode() for part in names.split(b"name=")[1:]}

    def close(self):
        self._file.close()
        self._sock.close()
        self._connection.close()


def _message(kind, *texts):
    body = b"".join(text + b"\0" for text in texts)
    return kind + struct.pack("!I", len(body) + 4) + body


def _renamed(head, body, statements, session):
    """Give statements names that hold in every session, and prepare them where they are not yet.

    Returns the message with that name, and what the client is answered at once.
    """
    kind = head[:1]
    if kind == b"P":
        name, _, rest = body.partition(b"\0")
        if not name:
            return head, body, b""
        ours = statements[name] = (b"POOLER_%08x" % (hash(rest) & 0xFFFFFFFF), rest)
        _prepare(session, *ours)
        return b"H" + struct.pack("!I", 4), b"", b"1" + struct.pack("!I", 4)  # Flush, and ParseComplete
    if kind == b"B":
        portal, name, rest = body.split(b"\0", 2)
        if name not in statements:
            return head, body, b""
        ours = statements[name]
        _prepare(session, *ours)
        body = portal + b"\0" + ours[0] + b"\0" + rest
        return kind + struct.pack("!I", len(body) + 4), body, b""
    return head, body, b""


def _prepare(session, name, rest):
    if name not in session.names:
        body = name + b"\0" + rest
        session.ask(b"P" + struct.pack("!I", len(body) + 4) + body + b"S" + struct.pack("!I", 4))
        session.names.add(name)

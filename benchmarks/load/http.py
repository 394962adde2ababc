"""HTTP/1.1 over connections that stay open: whole requests in, a status and a body out."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

Done = Callable[[int, bytes], None]
"""Is called with the status and the body; 0 is a connection that was refused or lost."""


class Connection(asyncio.Protocol):
    """One request at a time."""

    __slots__ = ("_buffer", "_done", "_lost", "transport")

    def __init__(self, lost: Callable[["Connection"], None]) -> None:
        self._lost = lost
        self._buffer = b""
        self._done: Done | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def request(self, data: bytes, done: Done) -> None:
        """Send a whole request. It must have had the answer to the one before."""
        self._done = done
        if self.transport is None:
            self.connection_lost(None)
        else:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._buffer = data = self._buffer + data if self._buffer else data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0 or self._done is None:
            return
        head = data[:head_end].lower()
        body = _body(head, data[head_end + 4 :])
        if body is None:
            return
        self._buffer = b""
        done, self._done = self._done, None
        if b"\r\nconnection: close" in head and self.transport is not None:
            self.transport.close()
            self.transport = None
        done(int(data[9:12]), body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 asyncio's signature
        self.transport = None
        self._buffer = b""
        done, self._done = self._done, None
        if done is not None:
            done(0, b"")
        self._lost(self)


def _body(head: bytes, rest: bytes) -> bytes | None:
    """Return the body once all of it is there. The head is in lower case."""
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        end = head.find(b"\r\n", at + 17)
        length = int(head[at + 17 : end if end >= 0 else None])
        return rest if len(rest) >= length else None
    if b"\r\ntransfer-encoding: chunked" in head:
        return rest if rest.endswith(b"0\r\n\r\n") else None
    return rest


_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Pool:
    """Connections to one server, used in turn, so that each worker process gets its share."""

    def __init__(self, *, host: str, port: int) -> None:
        self._address = (host, port)
        self._free: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._waiting: deque[tuple[bytes, Done]] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def open(self, count: int) -> None:
        """Open so many, one after the other: opened at once, one worker would accept nearly all of them."""
        while len(self._all) < count:
            connection = await self._connect()
            await self._greet(connection)
            self._give_back(connection)

    def send(self, request: bytes, done: Done) -> None:
        """Send a request as soon as a connection is free."""
        if self._free:
            self._use(self._free.popleft(), request, done)
        else:
            self._waiting.append((request, done))

    @property
    def waiting(self) -> int:
        """How many requests have no connection yet."""
        return len(self._waiting)

    def close(self) -> None:
        """Close every connection; what has no answer yet is done with 0."""
        self._is_closed = True
        self._waiting.clear()
        self._free.clear()
        for connection in list(self._all):
            if connection.transport is not None:
                connection.transport.abort()
        self._all.clear()

    async def _greet(self, connection: Connection) -> None:
        """Return once a worker has this connection and answers on it."""
        answered = asyncio.Event()
        connection.request(_HEALTH, lambda _, __: answered.set())
        await asyncio.wait_for(answered.wait(), 10)

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self._replace), *self._address)
        self._all.add(connection)
        return connection

    def _use(self, connection: Connection, request: bytes, done: Done) -> None:
        def answered(status: int, body: bytes) -> None:
            if connection.transport is not None:
                self._give_back(connection)
            done(status, body)

        connection.request(request, answered)

    def _give_back(self, connection: Connection) -> None:
        if self._waiting and not self._is_closed:
            self._use(connection, *self._waiting.popleft())
        else:
            # To the end of the queue: connections are used in turn, and so are the workers behind them.
            self._free.append(connection)

    def _replace(self, connection: Connection) -> None:
        """Open another one for one that the server closed."""
        self._all.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if not self._is_closed:
            task = asyncio.create_task(self._open_again())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open_again(self) -> None:
        while not self._is_closed:
            try:
                self._give_back(await self._connect())
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return

"""A connection to Redis, on which many commands are under way at once and messages come in between.

redis-py opens it, for it knows addresses, TLS, passwords, sentinels and time limits. From then on its socket is ours:
with a command or a message redis-py spends several times as long.
"""

# ruff: noqa: SLF001 redis-py has no door to its socket

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import hiredis
from channels_redis.utils import create_pool

SILENT_SECONDS = 2.0
"""Who does not answer for so long is taken for dead. As long as anybody waits for an answer."""
FAREWELL_SECONDS = 0.2
"""How long a connection that is closed waits for answers."""

_INCOMPLETE = object()


@dataclass(slots=True)
class _Request:
    sent: float
    is_one_command: bool
    answers: int  # that are still to come
    done: asyncio.Future[Exception | None]
    error: Exception | None = None

    def answer(self, error: Exception | None) -> bool:
        """Take one answer. Returns whether it was the last."""
        self.error = self.error or error
        self.answers = (
            0 if error and self.is_one_command else self.answers - 1
        )  # else it answers for each name
        if not self.answers and not self.done.done():
            self.done.set_result(self.error)
        return not self.answers


class Connection(asyncio.Protocol):
    """One socket, which speaks RESP3: answers come in the order of the commands, messages at any time."""

    def __init__(self, *, writer: asyncio.StreamWriter, deliver: Callable[[bytes, bytes], None]) -> None:
        """Each message is handed to `deliver` as it comes: the name of its channel, and its content."""
        self._writer = writer  # if nobody held it, it would close the socket
        self._transport = writer.transport
        self._transport.set_protocol(self)
        self._deliver = deliver
        self._parser = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._loop = asyncio.get_running_loop()
        self._opened = self._loop.time()
        self._unanswered: deque[_Request] = deque()
        self._closed: asyncio.Future[None] = self._loop.create_future()

    @classmethod
    async def open(cls, *, host: dict[str, Any], deliver: Callable[[bytes, bytes], None]) -> Self:
        """Connect to one of the hosts that Channels is configured with."""
        pool = create_pool(host)
        pool.connection_kwargs["protocol"] = 3
        opened = pool.make_connection()
        try:
            await opened.connect()
        except BaseException:
            await opened.disconnect(nowait=True)
            raise
        writer, opened._writer, opened._reader = opened._writer, None, None
        if writer.transport.is_closing():  # lost again, of which we would not be told
            raise _lost()
        return cls(writer=writer, deliver=deliver)

    def is_alive(self) -> bool:
        """Tell whether it is worth sending anything."""
        is_silent = self._unanswered and self._loop.time() - self._unanswered[0].sent > SILENT_SECONDS
        return not (is_silent or self._transport.is_closing())

    def age(self) -> float:
        """Return for how many seconds it has been open."""
        return self._loop.time() - self._opened

    def send(self, *commands: tuple[str | bytes, ...], answers: int) -> asyncio.Future[Exception | None]:
        """Send commands, which Redis answers so many times in all. Returns what will be None or the error.

        Ask `is_alive` right before. Nobody has to wait for it, and who does may be cancelled.
        """
        done: asyncio.Future[Exception | None] = self._loop.create_future()
        self._unanswered.append(_Request(self._loop.time(), len(commands) == 1, answers, done))
        self._transport.write(b"".join(map(hiredis.pack_command, commands)))  # type: ignore[arg-type]
        return done

    async def answered(self) -> None:
        """Return when what is under way by now has its answer, or has had FAREWELL_SECONDS."""
        if self._unanswered and self.is_alive():
            await asyncio.wait({self._unanswered[-1].done}, timeout=FAREWELL_SECONDS)

    async def close(self) -> None:
        """Close the socket at once. What is under way fails."""
        self._transport.abort()
        await asyncio.shield(self._closed)

    def data_received(self, data: bytes) -> None:
        """Hand over what came."""
        self._parser.feed(data)
        while (answer := self._parser.gets()) is not _INCOMPLETE:
            if not isinstance(answer, hiredis.PushNotification):
                self._take(answer if isinstance(answer, Exception) else None)
            elif answer[0] == b"message":
                self._deliver(answer[1], answer[2])
            elif answer[0] in {b"subscribe", b"unsubscribe"}:
                self._take(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 its text may quote what was sent
        """Fail what is under way."""
        for request in self._unanswered:
            if not request.done.done():
                request.done.set_result(_lost())
        self._unanswered.clear()
        if not self._closed.done():
            self._closed.set_result(None)

    def _take(self, error: Exception | None) -> None:
        if self._unanswered[0].answer(error):
            self._unanswered.popleft()


def _lost() -> Exception:
    return ConnectionError("The connection to Redis is lost.")

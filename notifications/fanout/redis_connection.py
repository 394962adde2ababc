"""Pipeline commands on one connection to Redis, and receive messages on it.

It uses redis-py's `Connection` by its public methods. redis-py's client waits for the answer to each command before
it sends the next one on a connection, and needs a second connection for messages. RESP3 needs neither: answers come in
the order of the commands, and messages are marked.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import hiredis
from redis.asyncio import Connection as RedisConnection
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError, ResponseError

SILENT_SECONDS = 2.0
"""A connection on which a command waits for its answer for longer than this counts as dead."""
OPEN_SECONDS = 5.0
"""Opening may take this long: name, socket, TLS, password."""
FAREWELL_SECONDS = 0.2
"""The end of a connection waits this long for answers."""
UNANSWERED_MAX = 10_000
"""With this many commands under way a connection takes no further message."""

Deliver = Callable[[bytes, bytes], None]


class _Command(NamedTuple):
    sent_at: float
    answer: asyncio.Future[Exception | None]


class Connection:
    """Sends commands, each of which Redis answers once, and passes on the messages that arrive."""

    def __init__(self, *, connected: RedisConnection, deliver: Deliver) -> None:
        """Take over a connection that speaks RESP3. Call `deliver` with the channel and content of each message."""
        self._redis = connected
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._opened_at = self._loop.time()
        self._unsent: list[bytes] = []
        self._unanswered: deque[_Command] = deque()
        self._reading = asyncio.create_task(self._read())
        self._writing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, *, host: Mapping[str, Any], deliver: Deliver) -> Self:
        """Connect to `host`: its `address`, and options of redis-py's connections.

        Raises OSError, which includes the timeout of OPEN_SECONDS, or an error of redis-py.
        """
        options = {**host, "socket_timeout": None}  # redis-py would start a task for each write
        address, _, query = options.pop("address").partition("?")
        pool = ConnectionPool.from_url(f"{address}?protocol=3&{query}", **options)  # the first one counts
        redis = pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await redis.connect()
        except BaseException:  # a cancellation too: else the socket would stay open
            await redis.disconnect(nowait=True)
            raise
        return cls(connected=redis, deliver=deliver)

    def is_alive(self) -> bool:
        """Return whether a command that is sent now can be answered."""
        # A half-open connection reports nothing: only a missing answer shows it (docs/decisions/0012).
        if self._unanswered and self._loop.time() - self._unanswered[0].sent_at > SILENT_SECONDS:
            return False
        return self._redis.is_connected and not self._reading.done()

    def is_full(self) -> bool:
        """Return whether UNANSWERED_MAX commands wait for their answers."""
        return len(self._unanswered) >= UNANSWERED_MAX

    def age(self) -> float:
        """Return for how many seconds the connection has been open."""
        return self._loop.time() - self._opened_at

    def send(self, *command: str | bytes) -> asyncio.Future[Exception | None]:
        """Send a command, in one write with all others of this turn of the loop. The future is None, or the error.

        Call `is_alive` right before. The future may be ignored or cancelled.
        """
        answer: asyncio.Future[Exception | None] = self._loop.create_future()
        self._unanswered.append(_Command(self._loop.time(), answer))
        self._unsent.append(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub leaves out str
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return answer

    async def answered(self) -> None:
        """Wait until all commands under way are answered, FAREWELL_SECONDS at most."""
        if self._unanswered and self.is_alive():
            # Answers come in the order of the commands, so the last one is enough.
            await asyncio.wait({self._unanswered[-1].answer}, timeout=FAREWELL_SECONDS)

    async def close(self) -> None:
        """Close the connection at once. Commands under way fail."""
        tasks = {task for task in (self._reading, self._writing) if task and not task.done()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._end()  # a task that is cancelled before it began does not call it

    async def _write(self) -> None:
        # No Batcher: it goes on to the next batch after an error. Here the commands behind a failed one must not be
        # sent, since answers are matched to commands by their order.
        while self._unsent and self._redis.is_connected:  # else redis-py would connect anew
            commands, self._unsent = self._unsent, []
            try:
                # redis-py's own check would send a PING and read its answer, which belongs to `_read`.
                await self._redis.send_packed_command(b"".join(commands), check_health=False)
            except (
                OSError,
                RedisError,
                RuntimeError,
            ):  # the last is uvloop's, of a connection that has just ended
                return  # redis-py has closed it, so that reading ends as well

    async def _read(self) -> None:
        """Read until the connection is lost. Then the commands under way fail."""
        try:
            while True:
                try:
                    # Without a time limit, redis-py reads a system's timeout (ETIMEDOUT) as None.
                    reply = await self._redis.read_response(timeout=math.inf, push_request=True)
                except ResponseError as error:
                    self._take_answer(error)
                    continue
                if reply is None:
                    return
                self._take(reply)
        except (OSError, RedisError):
            return  # not logged: the text may quote what was sent
        finally:
            await self._end()

    async def _end(self) -> None:
        for command in self._unanswered:
            if not command.answer.done():
                # A result and no exception: for a future that nobody awaits, asyncio would log an exception.
                command.answer.set_result(ConnectionError("The connection to Redis is lost."))
        await self._redis.disconnect(nowait=True)

    def _take(self, reply: Any) -> None:
        if isinstance(reply, list) and reply[0] == b"message":
            self._deliver(reply[1], reply[2])
        elif not isinstance(reply, list) or reply[0] in {b"subscribe", b"unsubscribe"}:
            self._take_answer(None)

    def _take_answer(self, error: Exception | None) -> None:
        answer = self._unanswered.popleft().answer
        if not answer.done():
            answer.set_result(error)

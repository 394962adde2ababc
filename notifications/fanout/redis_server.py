"""Keep one connection to a Redis server, with its subscriptions."""

import asyncio
from collections.abc import Mapping
from typing import Any

from channels.exceptions import ChannelFull

from notifications.fanout.redis_connection import Connection, Deliver

UNWATCHED_SECONDS = 10.0
"""A connection without subscriptions, as in a process without sockets, is used for this time. Such a process could not
notice that the others use another Redis by now."""


class RedisServer:
    """One Redis server: the names that are subscribed, and a connection, opened by the first call that has none."""

    def __init__(self, *, host: Mapping[str, Any], deliver: Deliver) -> None:
        self._host = host
        self._deliver = deliver
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._flushes = 0
        self._subscribed: dict[str, asyncio.Future[Exception | None]] = {}  # done when Redis has confirmed it

    async def publish(self, name: str, content: bytes) -> None:
        """Send a message. Raises Redis' error, ChannelFull if Redis is slow, or OSError if the connection is lost."""
        connection = self._good() or await self._open()
        if connection.is_full():
            raise ChannelFull("Redis is slow: too many commands are under way.")
        if error := await connection.send("PUBLISH", name, content):
            raise error

    async def subscribe(self, name: str) -> None:
        """Subscribe to a name. Redis has confirmed it when this returns, also for concurrent callers."""
        connection = self._good() or await self._open()
        if name not in self._subscribed:
            self._subscribed[name] = connection.send("SUBSCRIBE", name)
        # Several callers wait for one answer: one that is cancelled must not cancel it for the others.
        if error := await asyncio.shield(self._subscribed[name]):
            raise error

    async def unsubscribe(self, name: str) -> None:
        """Unsubscribe from a name. Redis has confirmed it when this returns."""
        answer = self.forget(name)
        if answer and (error := await answer):
            raise error

    def forget(self, name: str) -> asyncio.Future[Exception | None] | None:
        """Unsubscribe from a name without waiting. Return the future answer, or None if there is nothing to send."""
        if self._subscribed.pop(name, None) and self._connection and self._connection.is_alive():
            return self._connection.send("UNSUBSCRIBE", name)
        return None

    async def flush(self) -> None:
        """Forget all subscriptions and close the connection. Calls under way fail."""
        self._flushes += 1
        self._subscribed.clear()
        connection, self._connection = self._connection, None
        if connection:
            await connection.answered()  # calls of others that were just sent need not fail
            await connection.close()

    def _good(self) -> Connection | None:
        """Return the connection, if it can be used."""
        connection = self._connection
        if connection is None or not connection.is_alive():
            return None
        return connection if self._subscribed or connection.age() < UNWATCHED_SECONDS else None

    async def _open(self) -> Connection:
        """Return a usable connection with all subscriptions. The first of concurrent callers opens it."""
        flushes = self._flushes
        async with self._opening:
            if good := self._good():
                return good
            if self._connection:
                await self._connection.answered()
                await self._connection.close()
            connection = await Connection.open(host=self._host, deliver=self._deliver)
            # Calls under way fail in a flush. This caller waited for the connection before it.
            if flushes != self._flushes:
                await connection.close()
                raise ConnectionError("The layer was flushed.")
            self._connection = connection
            for name in self._subscribed:  # Redis forgets subscriptions with their connection
                self._subscribed[name] = connection.send("SUBSCRIBE", name)
            return connection

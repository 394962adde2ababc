"""A Redis server, as one process uses it: a connection, and what is subscribed on it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from channels.exceptions import ChannelFull

from notifications.fanout.redis_connection import Connection, Deliver

UNWATCHED_SECONDS = 10.0
"""How long a connection without subscriptions is used, as in a process without sockets. Nothing would show there that
the others are connected to another Redis by now."""


class RedisServer:
    """One Redis server: the connection to it, open from the first call on, and the names that are subscribed.

    The next call after a connection is lost opens another, with all subscriptions.
    """

    def __init__(self, *, host: Mapping[str, Any], deliver: Deliver) -> None:
        self._host = host
        self._deliver = deliver
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._flushes = 0
        self._subscribed: dict[str, asyncio.Future[Exception | None]] = {}  # done when Redis has confirmed it

    async def publish(self, name: str, content: bytes) -> None:
        """Send a message. Raises what Redis answers, ChannelFull where it is slow, or what a lost connection raises."""
        connection = self._good() or await self._open()
        if connection.is_full():
            raise ChannelFull("Redis is slow: too many commands are under way.")
        if error := await connection.send("PUBLISH", name, content):
            raise error

    async def subscribe(self, name: str) -> None:
        """Get what is sent to a name. Redis has confirmed it when this returns, to each caller."""
        connection = self._good() or await self._open()
        if name not in self._subscribed:
            self._subscribed[name] = connection.send("SUBSCRIBE", name)
        if error := await asyncio.shield(self._subscribed[name]):
            raise error

    async def unsubscribe(self, name: str) -> None:
        """Get no more of it."""
        answer = self.forget(name)
        if answer and (error := await answer):
            raise error

    def forget(self, name: str) -> asyncio.Future[Exception | None] | None:
        """Unsubscribe from a name, without waiting. Returns Redis' answer, if Redis has to know."""
        if self._subscribed.pop(name, None) and self._connection and self._connection.is_alive():
            return self._connection.send("UNSUBSCRIBE", name)
        return None

    async def flush(self) -> None:
        """Forget all subscriptions and close the connection. Calls under way fail."""
        self._flushes += 1
        self._subscribed.clear()
        connection, self._connection = self._connection, None
        if connection:
            await connection.answered()  # what another caller has just sent need not fail
            await connection.close()

    def _good(self) -> Connection | None:
        """Return the connection, if it can be used."""
        connection = self._connection
        if connection is None or not connection.is_alive():
            return None
        return connection if self._subscribed or connection.age() < UNWATCHED_SECONDS else None

    async def _open(self) -> Connection:
        """Return a connection that can be used, with all subscriptions: a new one, for the first that asks."""
        flushes = self._flushes
        async with self._opening:
            if good := self._good():
                return good
            if self._connection:
                await self._connection.answered()
                await self._connection.close()
            connection = await Connection.open(host=self._host, deliver=self._deliver)
            if flushes != self._flushes:
                await connection.close()
                raise ConnectionError("The layer was flushed.")
            self._connection = connection
            for name in self._subscribed:
                self._subscribed[name] = connection.send("SUBSCRIBE", name)
            return connection

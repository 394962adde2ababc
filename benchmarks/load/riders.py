"""The riders' connections: opened, registered, and what they are sent."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from benchmarks.rides import user_id

from .websocket import CLOSE, Client, masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from .tally import Tally

CONCURRENCY = 32
"""How many connect at the same time."""
TOKEN_SECONDS = 3600
PORTS = 20_000
"""How many users come from one address."""


class Riders:
    """User N has one connection, or several; each registers as soon as it is open."""

    def __init__(self, *, host: str, port: int, token_secret: str) -> None:
        self._address = (host, port)
        self._token_secret = token_secret.encode()
        self._frames: dict[int, bytes] = {}
        self._waiting: dict[Client, asyncio.Future[bool]] = {}
        self.registered: set[Client] = set()
        self.tally: Tally | None = None
        self.on_lost: Callable[[int], None] = lambda _: None
        self.users = 1
        self.each = 1

    async def connect(
        self, *, first: int = 0, count: int, users: int | None = None, each: int = 1, seconds: float
    ) -> dict[str, Any]:
        """Connect and register `count` users from number `first` on, `each` times; count those that take too long.

        `users` is how many there will be in all, by default those.
        """
        self.users, self.each = users or first + count, each
        for user in range(first, first + count):
            self._frames[user] = masked(self._registration(user))
        # One iterator for all tasks: each takes the next user as it is free.
        todo = iter([user for user in range(first, first + count) for _ in range(each)])
        before = len(self.registered)
        began = time.perf_counter()

        async def some() -> None:
            for user in todo:
                await self.register(user)

        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(some() for _ in range(CONCURRENCY)))
        registered = len(self.registered) - before
        return {
            "registered": registered,
            "failed": count * each - registered,
            "seconds": time.perf_counter() - began,
        }

    async def register(self, user: int, *, seconds: float = 10) -> bool:
        """Connect and register; return whether it came about."""
        loop = asyncio.get_running_loop()
        client = Client(user=user, listener=self)
        future: asyncio.Future[bool] = loop.create_future()
        self._waiting[client] = future
        try:
            async with asyncio.timeout(seconds):
                await loop.create_connection(lambda: client, *self._address, local_addr=_from(user))
                return await future
        except (OSError, TimeoutError):
            return False
        finally:
            self._waiting.pop(client, None)

    async def disconnect(self) -> None:
        """Close every connection as a page that is left does."""
        for client in list(self.registered):
            client.say(CLOSE)
        # Wait for the server's closes, five seconds at most: what is aborted costs the server other work.
        for _ in range(50):
            if not self.registered:
                return
            await asyncio.sleep(0.1)
        for client in list(self.registered):
            if client.transport is not None:
                client.transport.abort()
        await asyncio.sleep(0.1)

    def opened(self, client: Client) -> None:
        client.say(self._frames[client.user])

    def received(self, client: Client, text: bytes) -> None:
        if self.tally is not None and b'"rideId"' in text:
            self.tally.frame(text, user=client.user, users=self.users)
        elif b'"registration_success"' in text:
            self.registered.add(client)
            future = self._waiting.get(client)
            if future is not None and not future.done():
                future.set_result(True)

    def closed(self, client: Client) -> None:
        if client in self.registered:
            self.registered.discard(client)
            self.on_lost(client.user)
        future = self._waiting.get(client)
        if future is not None and not future.done():
            future.set_result(False)

    def _registration(self, user: int) -> bytes:
        said = {"type": "register", "userId": user_id(user)}
        if self._token_secret:
            said["token"] = self._token(user_id(user))
        return json.dumps(said).encode()

    def _token(self, subject: str) -> str:
        """Return a JWT (RFC 7519), signed with HS256, as the ride's backend mints it."""
        claims = {"sub": subject, "exp": int(time.time()) + TOKEN_SECONDS}
        text = b".".join(
            _base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)
        )
        return (text + b"." + _base64(hmac.digest(self._token_secret, text, hashlib.sha256))).decode()


def _from(user: int) -> tuple[str, int] | None:
    """Return the address that a user comes from, or None for the system's choice: one has only so many ports."""
    number = user // PORTS
    return (f"127.0.0.{number + 1}", 0) if number else None


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")

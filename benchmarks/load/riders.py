"""The riders' connections: opened, registered, and what they are told."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

from benchmarks.rides import user_id

from .tally import Tally
from .websocket import CLOSE, Client, masked

CONCURRENCY = 32
"""How many connect at the same time."""
TOKEN_SECONDS = 3600


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

    async def connect(self, *, count: int, each: int = 1, seconds: float) -> dict[str, Any]:
        """Connect and register users 0 to count - 1, `each` times. Those that take too long are counted, not waited for."""
        self.users = count
        for user in range(count):
            self._frames[user] = masked(self._registration(user))
        todo = iter([user for user in range(count) for _ in range(each)])
        began = time.perf_counter()
        failed = 0

        async def some() -> None:
            nonlocal failed
            for user in todo:
                failed += not await self.register(user)

        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(some() for _ in range(CONCURRENCY)))
        except TimeoutError:
            failed = count * each - len(self.registered)
        return {
            "registered": len(self.registered),
            "failed": failed,
            "seconds": time.perf_counter() - began,
        }

    async def register(self, user: int, *, seconds: float = 10) -> bool:
        """Connect and register; tell whether it came about."""
        loop = asyncio.get_running_loop()
        client = Client(user=user, listener=self)
        future = self._waiting[client] = loop.create_future()
        try:
            async with asyncio.timeout(seconds):
                await loop.create_connection(lambda: client, *self._address)
                return await future
        except (OSError, TimeoutError):
            return False
        finally:
            self._waiting.pop(client, None)

    async def disconnect(self) -> None:
        """Close every connection as a page that is left does."""
        for client in list(self.registered):
            client.say(CLOSE)
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


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")

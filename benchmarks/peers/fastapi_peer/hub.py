"""The sockets of this process, and the one connection on which it hears what is for their users."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from fastapi import WebSocket, WebSocketDisconnect
from redis.asyncio import Redis

CHANNEL = "user:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Push:
    """A frame, as JSON, for every socket of a user."""

    user_id: str
    frame: str


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    subscribed: asyncio.Future[None]
    sockets: set[WebSocket] = field(default_factory=set)


class Hub:
    """Redis has a channel for each user; the process subscribes to it with the user's first socket."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._subscriber = redis.pubsub()
        self._users: dict[str, User] = {}

    async def __aenter__(self) -> Self:
        await self._subscriber.subscribe("hub")  # a subscriber without a channel does not listen
        self._listener = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.cancel()
        await self._subscriber.aclose()  # type: ignore[no-untyped-call]

    async def publish(self, push: Push) -> None:
        """Hand a frame to the user's sockets in all processes."""
        await self._redis.publish(CHANNEL + push.user_id, push.frame)

    async def add(self, user_id: str, socket: WebSocket) -> None:
        """Let a socket get its user's frames: every one that is published after this returned."""
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = User(subscribed=asyncio.get_running_loop().create_future())
            user.sockets.add(socket)
            await self._subscriber.subscribe(CHANNEL + user_id)
        user.sockets.add(socket)
        await user.subscribed

    async def remove(self, user_id: str, socket: WebSocket) -> None:
        """Forget a socket, and with a user's last one the channel."""
        user = self._users[user_id]
        user.sockets.discard(socket)
        if not user.sockets:
            del self._users[user_id]
            await self._subscriber.unsubscribe(CHANNEL + user_id)

    async def _listen(self) -> None:
        async for message in self._subscriber.listen():
            user = self._users.get(message["channel"].removeprefix(CHANNEL))
            if user is None:
                continue
            if message["type"] == "message":
                await self._send(user, message["data"])
            elif message["type"] == "subscribe" and not user.subscribed.done():
                user.subscribed.set_result(None)

    async def _send(self, user: User, frame: str) -> None:
        for socket in tuple(user.sockets):
            with suppress(WebSocketDisconnect, RuntimeError):  # it has gone, and will be removed
                await socket.send_text(frame)

"""The fast path: messages over the channel layer to all connections of a user, whatever process they are in.

Nothing here raises for a layer that is away, and nothing waits for it longer than TIMEOUT_SECONDS.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from notifications import publisher
from notifications.inbox import Inbox
from notifications.layer import TIMEOUT_SECONDS
from notifications.line import line
from notifications.publisher import Message


def group_name(user_id: str) -> str:
    """Return the group of a user's connections: a hash, because Channels refuses names such as `a@b.com`."""
    return "user." + hashlib.sha256(user_id.encode()).hexdigest()


class Wake(NamedTuple):
    """A committed notification, on its way to the user's connections."""

    user_id: str
    seq: int
    frame: str


def wake(wakes: Sequence[Wake]) -> None:
    """Hand committed notifications to their users' connections. Call it from synchronous code."""
    publisher.publish(
        [
            _message(user_id, {"type": "feed.notification", "seq": seq, "frame": frame})
            for user_id, seq, frame in wakes
        ]
    )


async def wake_to_compare(*, user_id: str) -> None:
    """Have the user's connections compare themselves with the feed's row."""
    await publisher.send([_message(user_id, {"type": "feed.sync"})])


def _message(user_id: str, content: dict[str, str | int]) -> Message:
    """Return a message to a user. It names its group: those of all groups come to a process on one line."""
    group = group_name(user_id)
    return Message(group, content | {"group": group})


class Membership:
    """A connection's place in a user's group.

    Channels opens a layer's channel before it lets a consumer accept: while Redis is away no socket could even
    connect, and each would pay for a channel before it registers. So consumers ask no layer of Channels; they
    are members of their user's group by this, which joins as soon as the layer can.
    """

    def __init__(self, *, user_id: str, deliver: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Start to join. Each message of the group is handed to `deliver`, one after the other."""
        self._group = group_name(user_id)
        self._inbox = Inbox(deliver)
        self._line = line()
        self._joining = self._line.join(self._group, self._inbox.put)
        self._leaving: asyncio.Task[None] | None = None

    async def tried(self) -> None:
        """Return when the group is joined, or the layer could not do it in time."""
        await asyncio.wait({self._joining}, timeout=TIMEOUT_SECONDS)

    def leave(self) -> None:
        """Deliver no more, and start to leave the group."""
        self._inbox.close()
        self._leaving = self._line.leave(self._group, self._inbox.put)

    async def left(self) -> None:
        """Return when the group is left, or the layer could not do it in time."""
        if self._leaving:
            await asyncio.wait({self._leaving}, timeout=TIMEOUT_SECONDS)

"""The fast path: messages over the channel layer to all connections of a user, whatever process they are in.

Nothing here raises for a layer that is away, and nothing waits for it longer than TIMEOUT_SECONDS. A message is a hint,
and only the feed is the truth: it names the epoch of its number, and has a seal (notifications/fanout/seal.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from django.db import Error as DatabaseError

from notifications import installation, metrics
from notifications.delivery.inbox import Inbox
from notifications.fanout import publish, seal
from notifications.fanout.breaker import TIMEOUT_SECONDS
from notifications.fanout.listen import line
from notifications.fanout.publish import Message
from notifications.installation import Identity


def group_name(user_id: str, identity: Identity) -> str:
    """Return the group of a user's connections in this installation."""
    return seal.group_name("user", identity.name, user_id)


class Wake(NamedTuple):
    """A committed notification, on its way to the user's connections."""

    user_id: str
    seq: int
    frame: str


def wake(wakes: Sequence[Wake]) -> None:
    """Hand committed notifications to their users' connections. Call it from synchronous code, after the commit."""
    try:
        identity = installation.current()
    except DatabaseError:
        metrics.WAKE_FAILURES.inc(len(wakes))
        return
    publish.publish(
        [
            _message(user_id, identity, {"type": "feed.notification", "seq": seq, "frame": frame})
            for user_id, seq, frame in wakes
        ]
    )


async def wake_to_compare(*, user_id: str, identity: Identity) -> None:
    """Have the user's connections compare themselves with the feed's row."""
    await publish.send([_message(user_id, identity, {"type": "feed.sync"})])


def _message(user_id: str, identity: Identity, content: dict[str, str | int]) -> Message:
    """Return a message to a user. It names its group: those of all groups come to a process on one line."""
    group = group_name(user_id, identity)
    return Message(group, seal.sealed(content | {"group": group, "epoch": identity.epoch}))


class Membership:
    """A connection's place in a user's group.

    Channels opens a layer's channel before it lets a consumer accept: while Redis is away no socket could even
    connect, and each would pay for a channel before it registers. So consumers ask no layer of Channels; they
    are members of their user's group by this, which joins as soon as the layer can.
    """

    def __init__(
        self, *, user_id: str, identity: Identity, deliver: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        """Start to join. Each message of the group is handed to `deliver`, one after the other."""
        self._group = group_name(user_id, identity)
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

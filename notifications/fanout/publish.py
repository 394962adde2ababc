"""What goes out over the channel layer: all that waits, at once. A caller that has committed does not wait for it.

Nothing here raises for a layer that is away. A message is a hint, and only the feed is the truth: it names its group and
the epoch of its number, and has a seal (notifications/fanout/seal.py).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync
from django.db import Error as DatabaseError

from notifications import installation, metrics
from notifications.batching import Batcher
from notifications.fanout import seal
from notifications.fanout.breaker import ChannelLayerAwayError, bounded, current
from notifications.installation import Identity

WAITING_MAX = 1000
"""Messages. What finds no room is in the feed, and the reconciler brings it."""
TOGETHER_MAX = 100
"""Messages that are sent at once, in a time that is bounded."""


class Wake(NamedTuple):
    """A committed notification, on its way to the user's connections."""

    user_id: str
    seq: int
    frame: str


class Message(NamedTuple):
    """What goes to all members of a group. Values are text and numbers alone: serializers choke on others."""

    group: str
    content: dict[str, Any]


def group_name(user_id: str, identity: Identity) -> str:
    """Return the group of a user's connections in this installation."""
    return seal.group_name("user", identity.name, user_id)


def publish(wakes: Sequence[Wake]) -> None:
    """Send committed notifications to their users' connections. Call it from synchronous code, after the commit.

    In a server they are handed to its event loop, which sends them soon. Elsewhere, as in a command, this sends them
    itself, on a short-lived loop.
    """
    try:
        identity = installation.current()
    except DatabaseError:
        metrics.WAKE_FAILURES.inc(len(wakes))
        return
    messages = [message(wake, identity) for wake in wakes]
    if _loop is not None and _loop.is_running():
        with suppress(RuntimeError):  # it has just ended
            _loop.call_soon_threadsafe(_put, messages)
            return
    async_to_sync(send)(messages)


def publish_on(loop: asyncio.AbstractEventLoop) -> None:
    """Let this process send on an event loop that runs as long as it serves."""
    global _loop, _outgoing
    if _loop is not loop:
        _loop, _outgoing = loop, _batcher()


def message(wake: Wake, identity: Identity) -> Message:
    """Return what carries a notification over the layer."""
    group = group_name(wake.user_id, identity)
    content = {"type": "feed.notification", "seq": wake.seq, "frame": wake.frame}
    return _sealed(group, identity.epoch, content)


async def request_comparison(*, group: str, epoch: str) -> None:
    """Have a user's connections compare themselves with the feed's row."""
    await send([_sealed(group, epoch, {"type": "feed.sync"})])


async def send(messages: Sequence[Message]) -> None:
    """Send messages, or count that they could not be sent."""
    try:
        layer = current()
        async with bounded(layer):
            calls = [layer.group_send(group, content) for group, content in messages]
            await (calls[0] if len(calls) == 1 else asyncio.gather(*calls))  # gather() starts a task for each
    except ChannelLayerAwayError:
        metrics.WAKE_FAILURES.inc(len(messages))


def _sealed(group: str, epoch: str, content: dict[str, Any]) -> Message:
    return Message(group, seal.sealed(content | {"group": group, "epoch": epoch}))


def _batcher() -> Batcher[Message]:
    return Batcher(send, size=TOGETHER_MAX, room=WAITING_MAX)


def _put(messages: Sequence[Message]) -> None:
    if dropped := _outgoing.put(*messages):
        metrics.WAKE_FAILURES.inc(dropped)


_loop: asyncio.AbstractEventLoop | None = None
_outgoing = _batcher()

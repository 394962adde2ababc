"""Publish wakes over the channel layer, in batches. A caller that has committed does not wait for them.

Nothing here raises if the layer is away: a message is a hint, and only the feed is the truth. Each message carries its
group, the epoch of its number, and a seal (notifications/fanout/seal.py).
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
"""Messages that wait. Further ones are dropped, and the reconciler delivers."""
BATCH_SIZE = 100
"""Messages that are sent within one TIMEOUT_SECONDS."""


class Wake(NamedTuple):
    """A committed notification, on its way to the user's connections."""

    user_id: str
    seq: int
    frame: str


class Message(NamedTuple):
    """A message to all members of a group. Values are text and numbers alone: serializers may refuse others."""

    group: str
    content: dict[str, Any]


def group_name(user_id: str, identity: Identity) -> str:
    """Return the group of a user's connections in this installation."""
    return seal.group_name("user", identity.name, user_id)


def publish(wakes: Sequence[Wake], *, segment: str | None) -> None:
    """Send committed notifications to their users' connections. Call it from synchronous code, after the commit.

    `segment` is the timeline in which their numbers were given (`installation.of`). If that has ended, nothing is sent.

    In a server this passes them to its event loop, which sends them soon. Elsewhere, as in a command, it sends them on
    a short-lived loop.
    """
    identity = None
    # The change is committed: after a failure the reconciler delivers, and the caller gets no error.
    with suppress(DatabaseError):
        identity = installation.of(segment)
    if identity is None:
        metrics.WAKE_FAILURES.inc(len(wakes))
        return
    _send_soon([message(wake, identity) for wake in wakes])


def request_comparison_of(*, user_id: str) -> None:
    """Ask all processes to compare a user's connections with the feed's row now. Call it as `publish`."""
    try:
        identity = installation.current()
    except DatabaseError:
        metrics.WAKE_FAILURES.inc()
        return
    _send_soon([_comparison(group_name(user_id, identity), identity.epoch)])


def _send_soon(messages: Sequence[Message]) -> None:
    if _loop is not None and _loop.is_running():
        with suppress(RuntimeError):  # it has just ended
            # The batcher belongs to the loop, and this is another thread.
            _loop.call_soon_threadsafe(_put, messages)
            return
    async_to_sync(send)(messages)


def publish_on(loop: asyncio.AbstractEventLoop) -> None:
    """Send this process's messages on this event loop, which runs as long as the process serves."""
    global _loop, _outgoing
    if _loop is not loop:  # a batcher belongs to one loop; this runs with each request
        _loop, _outgoing = loop, _batcher()


def message(wake: Wake, identity: Identity) -> Message:
    """Return the message that carries a notification over the layer."""
    group = group_name(wake.user_id, identity)
    content = {"type": "feed.notification", "seq": wake.seq, "frame": wake.frame}
    return _sealed(group, identity.epoch, content)


async def request_comparison(*, group: str, epoch: str) -> None:
    """Ask all processes to compare a user's connections with the feed's row now."""
    await send([_comparison(group, epoch)])


async def send(messages: Sequence[Message]) -> None:
    """Send messages. Count them if the layer fails."""
    try:
        layer = current()
        async with bounded(layer):
            calls = [layer.group_send(group, content) for group, content in messages]
            await (calls[0] if len(calls) == 1 else asyncio.gather(*calls))  # gather() starts a task for each
    except ChannelLayerAwayError:
        metrics.WAKE_FAILURES.inc(len(messages))


def _comparison(group: str, epoch: str) -> Message:
    return _sealed(group, epoch, {"type": "feed.sync"})


def _sealed(group: str, epoch: str, content: dict[str, Any]) -> Message:
    return Message(group, seal.sealed(content | {"group": group, "epoch": epoch}))


def _batcher() -> Batcher[Message]:
    return Batcher(send, size=BATCH_SIZE, room=WAITING_MAX)


def _put(messages: Sequence[Message]) -> None:
    if dropped := _outgoing.put(*messages):
        metrics.WAKE_FAILURES.inc(dropped)


_loop: asyncio.AbstractEventLoop | None = None
_outgoing = _batcher()

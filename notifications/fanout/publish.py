"""What goes out over the channel layer: all that waits, at once. Nobody who has committed waits for it."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync

from notifications import metrics
from notifications.fanout.breaker import ChannelLayerAwayError, bounded, current

WAITING_MAX = 1000
"""Messages. What finds no room is in the feed, and the reconciler brings it."""
TOGETHER_MAX = 100
"""Messages that are sent at once, in a time that is bounded."""


class Message(NamedTuple):
    """Values are text and numbers alone: serializers choke on others, some of them in the receiver."""

    group: str
    content: dict[str, Any]


def publish(messages: Sequence[Message]) -> None:
    """Send messages from synchronous code.

    In a server they are handed to its event loop, which sends them soon. Elsewhere, as in a command, this sends them
    itself, on a short-lived loop.
    """
    if _loop is not None and _loop.is_running():
        with suppress(RuntimeError):  # it has just ended
            _loop.call_soon_threadsafe(_publisher.put, messages)
            return
    async_to_sync(send)(messages)


def publish_on(loop: asyncio.AbstractEventLoop) -> None:
    """Let this process send on an event loop that runs as long as it serves."""
    global _loop, _publisher
    if _loop is not loop:
        _loop, _publisher = loop, _Publisher()


async def send(messages: Sequence[Message]) -> None:
    """Send messages, or count that they could not be sent."""
    try:
        layer = current()
        async with bounded(layer):
            calls = [layer.group_send(group, content) for group, content in messages]
            await (calls[0] if len(calls) == 1 else asyncio.gather(*calls))  # gather() starts a task for each
    except ChannelLayerAwayError:
        metrics.WAKE_FAILURES.inc(len(messages))


class _Publisher:
    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, messages: Sequence[Message]) -> None:
        room = WAITING_MAX - len(self._waiting)
        self._waiting.extend(messages[:room])
        if len(messages) > room:
            metrics.WAKE_FAILURES.inc(len(messages) - room)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            count = min(TOGETHER_MAX, len(self._waiting))
            await send([self._waiting.popleft() for _ in range(count)])


_loop: asyncio.AbstractEventLoop | None = None
_publisher = _Publisher()

"""Calls to the channel layer, none of which waits for it long.

The channel layer is at most once, and it may be away. What it does not bring, the reconciler does.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

from channels.exceptions import ChannelFull
from channels.layers import BaseChannelLayer, get_channel_layer
from hiredis import HiredisError
from redis.exceptions import RedisError

from notifications.fanout.redis_layer import RedisLayer

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 2.0
RETRY_SECONDS = 1.0

_retry_at: WeakKeyDictionary[BaseChannelLayer, float] = WeakKeyDictionary()
"""For each channel layer that failed, when one of us may try it again (seconds of the monotonic clock)."""


OUTAGES = (OSError, EOFError, RedisError, HiredisError, ChannelFull)
"""What a server that is away, full or of another kind makes of a call: OSError is also a timeout."""
FAULT_SECONDS = 60.0
"""How often a fault is logged: it may be of every message."""

_fault_told_at = -FAULT_SECONDS


class ChannelLayerAwayError(Exception):
    """The channel layer failed, now or a moment ago. Go on without it; try again after RETRY_SECONDS."""


def current() -> BaseChannelLayer:
    """Return the channel layer. Raises ChannelLayerAwayError where none is configured."""
    layer = get_channel_layer()
    if layer is None:
        raise ChannelLayerAwayError("CHANNEL_LAYERS has no default.")
    return layer


@asynccontextmanager
async def bounded(layer: BaseChannelLayer) -> AsyncIterator[None]:
    """Bound the time of a call to the layer.

    While the layer is away one caller at a time may try it, RETRY_SECONDS after the last: else a dead Redis would
    cost each request the whole timeout. Whatever fails is raised as ChannelLayerAwayError. Of an outage only the name of
    its type is logged: Redis quotes what it was sent in some errors, and that may be a payment's link. What no outage
    explains is a fault in code: it is logged with its traceback, and the layer is tried again at once.
    """
    retry_at = _retry_at.get(layer)
    if retry_at is not None:
        if time.monotonic() < retry_at:
            raise ChannelLayerAwayError
        _retry_at[layer] = time.monotonic() + TIMEOUT_SECONDS + RETRY_SECONDS
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            yield
    except OUTAGES as error:
        if layer not in _retry_at:
            logger.warning("The channel layer fails (%s); the reconciler delivers.", type(error).__name__)
        _retry_at[layer] = time.monotonic() + RETRY_SECONDS
        raise ChannelLayerAwayError from error
    except Exception as error:
        _tell_fault(error)
        _retry_at.pop(layer, None)
        raise ChannelLayerAwayError from error
    if _retry_at.pop(layer, None):
        logger.warning("The channel layer works again.")


def _tell_fault(error: Exception) -> None:
    global _fault_told_at  # noqa: PLW0603
    if time.monotonic() - _fault_told_at >= FAULT_SECONDS:
        _fault_told_at = time.monotonic()
        logger.error("The channel layer's code failed; the reconciler delivers.", exc_info=error)


async def add_to_groups(layer: BaseChannelLayer, groups: Sequence[str], channel: str) -> None:
    """Have a channel join groups, with one call where the layer can."""
    if isinstance(layer, RedisLayer):
        await layer.group_add_many(groups, channel)
    else:
        for group in groups:
            await layer.group_add(group, channel)


async def send_to_groups(layer: BaseChannelLayer, messages: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Send each message to its group, with one call where the layer can."""
    if isinstance(layer, RedisLayer):
        await layer.group_send_many(messages)
    else:
        for group, message in messages:
            await layer.group_send(group, message)


async def discard_from_groups(layer: BaseChannelLayer, groups: Sequence[str], channel: str) -> None:
    """Have a channel leave groups, with one call where the layer can."""
    if isinstance(layer, RedisLayer):
        await layer.group_discard_many(groups, channel)
    else:
        for group in groups:
            await layer.group_discard(group, channel)

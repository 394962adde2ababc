"""Bound calls to the channel layer by a timeout and a circuit breaker: it may be away at any time."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from weakref import WeakKeyDictionary

from channels.exceptions import ChannelFull
from channels.layers import BaseChannelLayer, get_channel_layer
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

ALIAS = "notifications"
"""Our layer in CHANNEL_LAYERS. The listener flushes it to repair it, so it must hold no other consumer's groups."""
TIMEOUT_SECONDS = 2.0
"""A call to the layer may take this long."""
RETRY_SECONDS = 1.0
"""After an outage the layer is left alone for this time."""
FAULT_SECONDS = 60.0
"""Logged faults are this far apart: each message may raise one."""
OUTAGES = (OSError, EOFError, RedisError, ChannelFull)
"""A call raises one of these if the server is away, full or of another kind. OSError includes timeouts."""


class ChannelLayerAwayError(Exception):
    """The channel layer failed, now or less than RETRY_SECONDS ago. Go on without it."""


class CircuitBreaker:
    """Bounds calls to one channel layer. After an outage, calls fail at once for RETRY_SECONDS.

    Then a single call probes the layer. Otherwise a dead Redis would cost each request the whole timeout.
    """

    def __init__(self) -> None:
        self._retry_at: float | None = None  # on the monotonic clock; None while the layer works
        self._fault_logged_at: float | None = None

    @asynccontextmanager
    async def bounded(self) -> AsyncIterator[None]:
        """Let a call take TIMEOUT_SECONDS. Raises ChannelLayerAwayError for any failure.

        An outage is logged once, by its type alone: some errors of Redis quote what was sent, which may be a payment's
        link. Any other exception is a fault in code. It is logged with its traceback, once in FAULT_SECONDS, and leaves
        the circuit closed.
        """
        self._enter()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                yield
        except OUTAGES as error:
            self._open(error)
            raise ChannelLayerAwayError from error
        except Exception as error:
            self._log_fault(error)
            self._retry_at = None  # the layer may work: a fault in code must not keep other callers from it
            raise ChannelLayerAwayError from error
        if self._retry_at is not None:
            self._retry_at = None
            logger.warning("The channel layer works again.")

    def _enter(self) -> None:
        if self._retry_at is not None:
            if time.monotonic() < self._retry_at:
                raise ChannelLayerAwayError
            # Until this probe ends, the others fail at once. If it is cancelled it reports no end: then another one
            # may try after this time.
            self._retry_at = time.monotonic() + TIMEOUT_SECONDS + RETRY_SECONDS

    def _open(self, error: Exception) -> None:
        if self._retry_at is None:
            logger.warning("The channel layer fails (%s); the reconciler delivers.", type(error).__name__)
        self._retry_at = time.monotonic() + RETRY_SECONDS

    def _log_fault(self, error: Exception) -> None:
        now = time.monotonic()
        if self._fault_logged_at is None or now - self._fault_logged_at >= FAULT_SECONDS:
            self._fault_logged_at = now
            logger.error("The channel layer's code failed; the reconciler delivers.", exc_info=error)


_breakers: WeakKeyDictionary[BaseChannelLayer, CircuitBreaker] = WeakKeyDictionary()


def current() -> BaseChannelLayer:
    """Return the channel layer of notifications. Raises ChannelLayerAwayError if none is configured."""
    layer = get_channel_layer(ALIAS)
    if layer is None:
        raise ChannelLayerAwayError(f"CHANNEL_LAYERS has no {ALIAS!r}.")
    return layer


def bounded(layer: BaseChannelLayer) -> AbstractAsyncContextManager[None]:
    """Bound a call to the layer by the circuit breaker that all its callers share."""
    return _breakers.setdefault(layer, CircuitBreaker()).bounded()

"""Daphne's WebSockets, with a bound and an end for clients that do not read."""

import asyncio
from typing import Any

import daphne.server
import daphne.ws_protocol
from django.conf import settings
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer  # type: ignore[import-untyped]  # has no types

from notifications import metrics
from notifications.protocol import CloseCode

from .limits import BACKLOG_MAX_BYTES, FAREWELL_SECONDS, WAITING_MAX

NORMAL_CLOSURE = 1000
NO_STATUS_RECEIVED = 1005
ABNORMAL_CLOSURE = 1006


@implementer(IPushProducer)
class WebSocketProtocol(daphne.ws_protocol.WebSocketProtocol):  # type: ignore[misc]
    """Says when the client reads, by `writable`, and gives it up when it does not.

    It is the producer of its transport, which pauses it when more than 64 KiB wait to be read, and resumes it
    when nothing does. autobahn's names are in camel case.
    """

    last_ping: float

    def connectionMade(self) -> None:  # noqa: N802
        self.writable = asyncio.Event()
        self.writable.set()
        self._backlog = 0
        self._patience: asyncio.TimerHandle | None = None
        self._end: asyncio.TimerHandle | None = None
        super().connectionMade()
        self.unregisterProducer()  # that of the HTTP request, which this connection was
        self.registerProducer(self, True)

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        for timer in (self._patience, self._end):
            if timer is not None:
                timer.cancel()
        self.writable.set()
        super().connectionLost(reason)

    def is_ending(self) -> bool:
        return self.state in {self.STATE_CLOSING, self.STATE_CLOSED}

    def pauseProducing(self) -> None:  # noqa: N802
        if self.writable.is_set():
            self.writable.clear()
            self._backlog = 0
            self._patience = daphne.server.twisted_loop.call_later(
                settings.WEBSOCKET_PING_SECONDS, self._give_up
            )

    def resumeProducing(self) -> None:  # noqa: N802
        self.writable.set()
        if self._patience is not None:
            self._patience.cancel()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is lost, which `connectionLost` says too."""

    def sendData(self, data: bytes, *args: Any, **kwargs: Any) -> None:  # noqa: N802
        """Write. While the client does not read, the application waits, but pongs do not."""
        super().sendData(data, *args, **kwargs)
        self._backlog += len(data)
        if not self.writable.is_set() and self._backlog > BACKLOG_MAX_BYTES:
            self.transport.abortConnection()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001, N802, N803
        """Take a message. It is no reason not to ping: a client that speaks may have stopped to listen."""
        if self.application_queue.qsize() < WAITING_MAX:
            last_ping = self.last_ping
            super().onMessage(payload, isBinary)
            self.last_ping = last_ping
        elif not self.is_ending():
            metrics.CLOSED.labels(int(CloseCode.TOO_MANY)).inc()
            self.application_queue.put_nowait({"type": "websocket.disconnect", "code": ABNORMAL_CLOSURE})
            self.sendClose(int(CloseCode.TOO_MANY))

    def onAutoPingTimeout(self) -> None:  # noqa: N802
        if self.writable.is_set():
            super().onAutoPingTimeout()
        else:
            self._give_up()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: FBT001, N802, N803
        """Tell the application. A client that closes without a code closes normally."""
        if wasClean and code in {None, NO_STATUS_RECEIVED}:
            code = NORMAL_CLOSURE
        super().onClose(wasClean, code, reason)

    def dropConnection(self, abort: bool = False) -> None:  # noqa: FBT001, FBT002, N802
        """Cut the connection, or let the client read what was sent to it, but not for ever."""
        super().dropConnection(abort)
        if not abort:
            self._end = daphne.server.twisted_loop.call_later(
                FAREWELL_SECONDS, self.transport.abortConnection
            )

    def _give_up(self) -> None:
        """Send a close frame behind what waits, in case that the client reads on; without an answer it is cut off."""
        if self.is_ending():
            self.transport.abortConnection()
        else:
            metrics.CLOSED.labels(int(CloseCode.TOO_SLOW)).inc()
            self.sendClose(int(CloseCode.TOO_SLOW))

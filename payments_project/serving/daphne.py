"""Daphne, with an end in good order and with limits for clients that do not read or do not wait.

Importing it installs Twisted's reactor. Nothing of Daphne, autobahn or Twisted is used that they do not offer.
"""

import asyncio
import signal
import socket
from typing import Any

from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from django.conf import settings
from twisted.internet import defer, reactor
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer  # type: ignore[import-untyped]  # has no types

from notifications import connections, metrics
from notifications.protocol import CloseCode
from payments_project.asgi import application

from . import limits
from .readiness import tell_ready

NO_STATUS = 1005
NORMAL = 1000
WAITING_MAX = 64
"""Messages of a client that may wait to be answered."""


def serve(sockets: list[socket.socket]) -> None:
    """Serve on listening sockets until SIGINT or SIGTERM."""
    first, *others = sockets
    requests = _Requests()

    def prepare() -> None:
        server.ws_factory.protocol = _WebSocket
        # A message that is too large is answered with close code 1009 rather than a cut connection.
        server.ws_factory.setProtocolOptions(failByDrop=False)
        for sock in others:  # an endpoint string can name no IPv6 socket
            server.listen_success(reactor.adoptStreamPort(sock.fileno(), sock.family, server.http_factory))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_event_loop().add_signal_handler(number, server.end)
        reactor.callWhenRunning(tell_ready)

    server = _Server(
        requests=requests,
        application=requests,
        endpoints=[f"fd:fileno={first.fileno()}"],
        signal_handlers=False,
        websocket_max_message_size=limits.MESSAGE_MAX,
        websocket_max_frame_size=limits.MESSAGE_MAX,
        websocket_timeout=-1,
        ping_interval=settings.WEBSOCKET_PING_SECONDS,
        ping_timeout=settings.WEBSOCKET_PING_SECONDS,
        # A view whose client hung up still asks Stripe for up to a minute. Cut off, it would keep its
        # database connection for ever.
        application_close_timeout=180,
        server_name="",
        ready_callable=prepare,
    )
    server.run()


class _Requests:
    """The application, with its HTTP requests counted while they are under way."""

    def __init__(self) -> None:
        self.under_way = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        is_request = scope["type"] == "http"
        self.under_way += is_request
        try:
            await application(scope, receive, send)
        finally:
            self.under_way -= is_request


class _Server(Server):  # type: ignore[misc]  # has no types
    """Its own end cancels everything that is under way, and tells no client."""

    def __init__(self, *, requests: _Requests, **options: Any) -> None:
        super().__init__(**options)
        self._requests = requests
        self._ports: list[Any] = []
        self._ending: asyncio.Task[None] | None = None

    def listen_success(self, port: Any) -> None:
        super().listen_success(port)
        self._ports.append(port)

    def end(self) -> None:
        """End in good order; asked a second time, at once."""
        if self._ending:
            self.stop()
        else:
            self._ending = asyncio.get_running_loop().create_task(self._end())

    async def _end(self) -> None:
        """Let others accept what comes, say goodbye on every WebSocket, answer the requests that are under way."""
        loop = asyncio.get_running_loop()
        for port in self._ports:
            await defer.maybeDeferred(port.stopListening).asFuture(loop)
        await connections.drain()
        deadline = loop.time() + limits.REQUEST_SECONDS
        while self._requests.under_way and loop.time() < deadline:  # noqa: ASYNC110 views end in threads
            await asyncio.sleep(connections.PAUSE_SECONDS)
        self.stop()


class _WebSocket(WebSocketProtocol):  # type: ignore[misc]  # has no types
    """Cuts connections of clients that do not read: without this they fill the memory."""

    last_ping: float
    _backlog: "_Backlog"

    def onOpen(self) -> None:  # noqa: N802 autobahn's name
        super().onOpen()
        self.transport.unregisterProducer()  # the HTTP channel, which nobody speaks to any more
        self._backlog = _Backlog(self)
        self.transport.registerProducer(self._backlog, streaming=True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001, N802, N803 autobahn's names
        """Take a message. It is no reason not to ping: a client that speaks may have stopped to listen."""
        if self.application_queue.qsize() >= WAITING_MAX:
            metrics.CLOSED.labels(int(CloseCode.TOO_MANY)).inc()
            self.muted = True
            self.application_queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
            self.sendClose(code=int(CloseCode.TOO_MANY))
            return
        last_ping = self.last_ping
        super().onMessage(payload, isBinary)
        self.last_ping = last_ping

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: FBT001, N802, N803
        """Tell a client's close without a code from a lost connection, as the code alone does not."""
        if hasattr(self, "_backlog"):
            self._backlog.stopProducing()
        super().onClose(wasClean, NORMAL if wasClean and code == NO_STATUS else code, reason)

    def sendMessage(self, payload: bytes, *args: Any, **options: Any) -> None:  # noqa: N802 autobahn's name
        super().sendMessage(payload, *args, **options)
        self._backlog.note(len(payload))


@implementer(IPushProducer)
class _Backlog:
    """What waits for one client, as its transport tells: it asks to pause above 64 KiB, and to resume at none."""

    def __init__(self, protocol: _WebSocket) -> None:
        self._protocol = protocol
        self._unsent = 0
        self._patience: asyncio.TimerHandle | None = None

    def note(self, size: int) -> None:
        """Count what is sent while the client does not read."""
        if self._patience is None:
            return
        self._unsent += size
        if self._unsent > limits.UNSENT_MAX:
            self._give_up(linger=0)

    def pauseProducing(self) -> None:  # noqa: N802 Twisted's name
        if self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(settings.WEBSOCKET_PING_SECONDS, self._give_up)

    def resumeProducing(self) -> None:  # noqa: N802 Twisted's name
        self.stopProducing()

    def stopProducing(self) -> None:  # noqa: N802 Twisted's name
        if self._patience is not None:
            self._patience.cancel()
        self._patience, self._unsent = None, 0

    def _give_up(self, *, linger: float = limits.LINGER_SECONDS) -> None:
        """Say why, behind all that waits, and cut the connection if that is not read either."""
        self.stopProducing()
        metrics.CLOSED.labels(int(CloseCode.TOO_SLOW)).inc()
        self._protocol.sendClose(code=int(CloseCode.TOO_SLOW))
        asyncio.get_running_loop().call_later(linger, self._protocol.transport.abortConnection)

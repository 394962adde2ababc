"""The service on Daphne."""

import asyncio
import socket
from typing import Any

import daphne.server  # importing it installs Twisted's reactor, which has to come first
from django.conf import settings
from twisted.internet import reactor

from notifications.protocol import MESSAGE_MAX_BYTES

from . import stopping
from .daphne_websocket import WebSocketProtocol
from .limits import FAREWELL_SECONDS, HANDSHAKE_SECONDS, REQUEST_SECONDS
from .readiness import tell_ready
from .requests import Requests


def serve(*, application: Any, sockets: list[socket.socket]) -> None:
    """Serve an ASGI application on listening sockets until SIGINT or SIGTERM."""
    Server(Requests(application), sockets).run()


class Server(daphne.server.Server):  # type: ignore[misc]
    """Daphne's own stop would cut off every connection and every request."""

    def __init__(self, requests: Requests, sockets: list[socket.socket]) -> None:
        super().__init__(
            application=requests,
            endpoints=["the sockets"],
            signal_handlers=False,
            websocket_max_message_size=MESSAGE_MAX_BYTES,
            websocket_max_frame_size=MESSAGE_MAX_BYTES,
            websocket_handshake_timeout=HANDSHAKE_SECONDS,
            websocket_connect_timeout=HANDSHAKE_SECONDS,
            websocket_timeout=-1,  # by default it closes a WebSocket that is a day old
            ping_interval=settings.WEBSOCKET_PING_SECONDS,
            ping_timeout=settings.WEBSOCKET_PING_SECONDS,
            # A view whose client hung up still asks Stripe for up to a minute. Cut off, it would keep its
            # database connection for ever.
            application_close_timeout=180,
            server_name="",
            ready_callable=self.prepare,
        )
        # Their strings can name no IPv6 socket. But Daphne is not made without any.
        self.endpoints: list[str] = []
        self._requests = requests
        self._sockets = sockets
        self._ports: list[Any] = []
        self._drain: asyncio.Task[None] | None = None

    def prepare(self) -> None:
        """Get ready, just before the reactor runs."""
        # A message that is too large is answered with close code 1009 rather than a cut connection.
        self.ws_factory.setProtocolOptions(failByDrop=False, closeHandshakeTimeout=FAREWELL_SECONDS)
        self.ws_factory.protocol = WebSocketProtocol
        self.http_factory.timeOut = REQUEST_SECONDS
        for sock in self._sockets:
            sock.setblocking(False)
            self._ports.append(reactor.adoptStreamPort(sock.fileno(), sock.family, self.http_factory))
            sock.close()
        stopping.on_signal(daphne.server.twisted_loop, self.drain)
        reactor.callWhenRunning(tell_ready)

    async def handle_reply(self, protocol: Any, message: Any) -> None:
        """Take what the application sends. To a client that does not read it waits, where Daphne would buffer.

        Raises ConnectionResetError where there is no client to send to any more.
        """
        if isinstance(protocol, WebSocketProtocol):
            await protocol.writable.wait()
            if protocol.is_ending() and message["type"] == "websocket.send":
                raise ConnectionResetError
        await super().handle_reply(protocol, message)

    def drain(self) -> None:
        """Let nobody in any more, and stop when everything has ended."""
        for port in self._ports:
            port.stopListening()
        self._drain = asyncio.get_running_loop().create_task(stopping.drain(self._requests))
        self._drain.add_done_callback(lambda _: self.stop())

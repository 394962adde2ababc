"""uvicorn, with an end in good order and with limits for clients that do not read or do not speak."""

import asyncio
import contextlib
import signal
import socket
import sys
from typing import Any

import uvicorn
from django.conf import settings
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from notifications import connections, metrics
from notifications.protocol import CloseCode
from payments_project.asgi import application

from . import limits
from .readiness import tell_ready


def serve(sockets: list[socket.socket]) -> None:
    """Serve on listening sockets until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        application,
        http=_Http,
        ws=_WebSocket,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=limits.BACKLOG,
        ws_max_size=limits.MESSAGE_MAX,
        ws_per_message_deflate=False,  # it costs each connection more memory than frames this small are worth
        ws_ping_interval=settings.WEBSOCKET_PING_SECONDS,
        ws_ping_timeout=settings.WEBSOCKET_PING_SECONDS,
        timeout_graceful_shutdown=int(limits.REQUEST_SECONDS),
    )
    # Once it has ended, uvicorn raises the signal again that ended it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        _Server(config).run(sockets)


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        tell_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let others accept what comes, say goodbye on every WebSocket, then end as uvicorn does.

        By itself it would close them all in one moment, with 1012.
        """
        for listener in self.servers:
            listener.close()
        for sock in sockets or []:
            sock.close()
        await connections.drain()
        await super().shutdown(sockets)


class _WebSocket(WebSocketsSansIOProtocol):
    """Cuts connections of clients that read nothing: closing waits for them, for ever."""

    _patience: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """More than 64 KiB wait to be sent: the application waits from now on, but not for ever."""
        super().pause_writing()
        self._patience = self.loop.call_later(settings.WEBSOCKET_PING_SECONDS, self._give_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._be_patient()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_patient()
        super().connection_lost(exc)

    def _be_patient(self) -> None:
        if self._patience:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        """Say why, behind all that waits, and cut the connection if that is not read either."""
        if not self.close_sent and not self.transport.is_closing():
            metrics.CLOSED.labels(int(CloseCode.TOO_SLOW)).inc()
            self.conn.send_close(CloseCode.TOO_SLOW)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        self._cut_soon()

    def _cut_soon(self) -> None:
        self.loop.call_later(limits.LINGER_SECONDS, self.transport.abort)


class _Http(H11Protocol):
    """Cuts connections of clients that begin a request and do not end it."""

    _waits_since: object = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._look_again()

    def _look_again(self) -> None:
        self.loop.call_later(limits.HANDSHAKE_SECONDS, self._look)

    def _look(self) -> None:
        """Cut the connection if it waits for the same request as at the last look."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        is_answering = (
            self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        )
        if is_answering:
            self._waits_since = None
        elif self._waits_since == (request := id(self.cycle)):
            self.transport.abort()
            return
        else:
            self._waits_since = request
        self._look_again()

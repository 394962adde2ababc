"""uvicorn's WebSockets, with an end for clients that do not read."""

import asyncio
from typing import Any

from django.conf import settings
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from notifications import metrics
from notifications.protocol import CloseCode

from .limits import BACKLOG_MAX_BYTES, FAREWELL_SECONDS

ABNORMAL_CLOSURE = 1006
"""What the application is told of a client that is given up (RFC 6455, section 7.4.1)."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Gives up a client that does not read, or is gone without a word.

    uvicorn bounds what waits for a client: `send` returns once it is less than 64 KiB. But it never gives up: a
    transport that is closed waits for ever until all was read, and so does the application.
    """

    _patience: asyncio.TimerHandle | None = None
    _end: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._patience, self._end):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._patience = self.loop.call_later(settings.WEBSOCKET_PING_SECONDS, self._give_up)

    def resume_writing(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        super().resume_writing()

    def keepalive_timeout(self) -> None:
        if self.writable.is_set():
            super().keepalive_timeout()
            self._end_soon()
        else:
            self._give_up()

    def handle_ping(self) -> None:
        super().handle_ping()
        if self.transport.get_write_buffer_size() > BACKLOG_MAX_BYTES:
            self.transport.abort()

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._end_soon()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self._end_soon()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.close_sent:
            self._end_soon()

    def shutdown(self) -> None:
        if self.writable.is_set():
            super().shutdown()
        else:
            self.transport.abort()

    def _give_up(self) -> None:
        """Send a close frame behind what waits, in case that the client reads on, and cut it off soon."""
        self.stop_keepalive()
        if not self.close_sent and not self.transport.is_closing():
            metrics.CLOSED.labels(int(CloseCode.TOO_SLOW)).inc()
            self.queue.put_nowait({"type": "websocket.disconnect", "code": ABNORMAL_CLOSURE})
            self.conn.send_close(CloseCode.TOO_SLOW)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self._end_soon()

    def _end_soon(self) -> None:
        if self._end is None:
            self._end = self.loop.call_later(FAREWELL_SECONDS, self.transport.abort)

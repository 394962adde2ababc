"""End slow and greedy clients in uvicorn's WebSocket protocol."""

import asyncio
from typing import Any

from django.conf import settings
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode as StandardCode
from websockets.frames import Frame
from websockets.protocol import State

from access.refusals import Kind, refused
from notifications import metrics
from notifications.protocol import CloseCode
from payments_project.serving.limits import (
    BACKLOG_MAX_BYTES,
    FAREWELL_SECONDS,
    FRAGMENTS_MAX,
    FRAMES_A_SECOND,
    FRAMES_AT_ONCE,
    PIECE_BYTES,
)

BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol, which gives up a client that does not read, has vanished, or sends too many frames.

    uvicorn's `send` waits until less than 64 KiB wait for the client, but never gives up: the transport, and the
    application with it, would wait for ever until all is read. It bounds the bytes of messages, but not the number of
    frames: empty frames, pings and pongs cost CPU too.
    """

    _patience: asyncio.TimerHandle | None = None
    _end: asyncio.TimerHandle | None = None
    _is_over = False
    _allowance = float(FRAMES_AT_ONCE)
    _counted_at = 0.0

    def data_received(self, data: bytes) -> None:
        """Parse piece by piece: websockets would parse everything before the first frame is counted."""
        for at in range(0, len(data), PIECE_BYTES):
            if self._is_over:
                return
            super().data_received(data[at : at + PIECE_BYTES])
        if self.conn.handshake_exc and not self.handshake_initiated:
            self._refuse_handshake()

    def handle_text(self, event: Frame) -> None:
        """Count a text frame, and handle it unless there are too many."""
        if self._may_come():
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Count a binary frame, as `handle_text` does."""
        if self._may_come():
            super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        """Count a fragment. Close with 1009 if a message has too many."""
        if not self._may_come():
            return
        if len(self.frames) < FRAGMENTS_MAX:
            super().handle_cont(event)
        else:
            self._send_away(StandardCode.MESSAGE_TOO_BIG)

    def handle_pong(self, event: Frame) -> None:
        """Count a pong, as `handle_text` does."""
        if self._may_come():
            super().handle_pong(event)

    def send_receive_event_to_app(self) -> None:
        """Pass on a whole message. Close with 1007 if it is not UTF-8: uvicorn would log a traceback."""
        try:
            if self.curr_msg_data_type == "text" and not self.close_sent:
                b"".join(self.frames).decode()
        except UnicodeDecodeError:
            self.frames = []
            self._send_away(StandardCode.INVALID_DATA)
        else:
            super().send_receive_event_to_app()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        for timer in (self._patience, self._end):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give the client WEBSOCKET_PING_SECONDS to read on."""
        super().pause_writing()
        self._patience = self.loop.call_later(
            settings.WEBSOCKET_PING_SECONDS, self._close, CloseCode.TOO_SLOW
        )

    def resume_writing(self) -> None:
        """Go on: the client reads again."""
        if self._patience is not None:
            self._patience.cancel()
        super().resume_writing()

    def keepalive_timeout(self) -> None:
        """End a client that did not answer a ping."""
        # If frames wait to be written, the ping waits behind them: the client is not gone, but slow.
        if self.writable.is_set():
            super().keepalive_timeout()
            self._end_soon()
        else:
            self._close(CloseCode.TOO_SLOW)

    def handle_ping(self) -> None:
        """Count and answer a ping. Cut off a client that reads no pongs."""
        if not self._may_come():
            return
        super().handle_ping()
        # uvicorn writes pongs without waiting for its flow control, so nothing else bounds them.
        if self.transport.get_write_buffer_size() > BACKLOG_MAX_BYTES:
            self.transport.abort()

    def handle_close(self, event: Frame) -> None:
        """Answer a close frame, and end soon even if the client does not."""
        super().handle_close(event)
        self._end_soon()

    def handle_parser_exception(self) -> None:
        """Close after a broken frame, and end soon."""
        super().handle_parser_exception()
        self._end_soon()

    async def send(self, message: Any) -> None:
        """Send a message of the application. After a close frame, end soon."""
        await super().send(message)
        if self.close_sent:
            self.handshake_complete = True  # also by a refusal, for which uvicorn would log an error
            self._end_soon()

    def shutdown(self) -> None:
        """Close with 1012, or cut off a client that does not read."""
        if self.writable.is_set():
            super().shutdown()
        else:
            self.transport.abort()

    def _may_come(self) -> bool:
        """Count a frame; return whether to handle it. Close with 4429 if the client has sent too many."""
        if self._is_over:
            return False
        now = self.loop.time()
        earned = (now - self._counted_at) * FRAMES_A_SECOND
        # A token bucket: a quiet client saves up frames, but no more than it may send at once.
        self._allowance = min(float(FRAMES_AT_ONCE), self._allowance + earned) - 1
        self._counted_at = now
        if self._allowance < 0:
            refused(Kind.LIMIT, self.scope)
            seconds = FRAMES_AT_ONCE // FRAMES_A_SECOND
            self._send_away(CloseCode.TOO_MANY, f"Too many frames. Try again in {seconds} seconds.")
        return not self._is_over

    def _send_away(self, code: int, reason: str = "") -> None:
        """Close with a code and a reason, and read nothing more from the client."""
        self._is_over = True
        self._close(code, reason)
        self.read_paused = False  # else uvicorn resumes reading once the application has taken a message
        self.transport.pause_reading()

    def _close(self, code: int, reason: str = "") -> None:
        """Close with a code and a reason, in case the client reads on, and cut it off soon."""
        self.stop_keepalive()
        if not self.close_sent and not self.transport.is_closing():
            metrics.CLOSED.labels(code).inc()
            # The application ends now: a client that reads nothing never answers the close frame.
            self.queue.put_nowait(
                {"type": "websocket.disconnect", "code": int(StandardCode.ABNORMAL_CLOSURE)}
            )
            if self.conn.state is State.OPEN:  # else the client's own close frame has arrived
                self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self._end_soon()

    def _refuse_handshake(self) -> None:
        """Send websockets' answer to a request that it cannot read, such as one with a line that is too long."""
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()) or BAD_HANDSHAKE)
        self.transport.close()

    def _end_soon(self) -> None:
        if self._end is None:
            self._end = self.loop.call_later(FAREWELL_SECONDS, self.transport.abort)

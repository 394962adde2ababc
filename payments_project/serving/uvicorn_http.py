"""Bound requests in uvicorn's HTTP protocol: their size, their time to arrive, and their number."""

import asyncio
import logging
from functools import partial
from typing import Any, cast

from django.conf import settings
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from payments_project.middleware.refusing import LINGER_MAX_BYTES, LINGER_SECONDS, REFUSED, Refusal, answer
from payments_project.serving.heads import heads
from payments_project.serving.http_parser import RequestParser
from payments_project.serving.limits import KEEP_ALIVE_SECONDS, PIECE_BYTES, REQUEST_SECONDS
from payments_project.serving.peers import Peer
from payments_project.serving.process import connections_max
from payments_project.serving.transport import QuietTransport

logger = logging.getLogger(__name__)

FULL = Refusal(503, "full", "Too many connections are open. Connect again in a moment.")
TOO_MANY = Refusal(429, "rate_limited", "Too many connections of one address are open. Connect again later.")

# A request whose body is what a refused client still sends.
_STAND_IN = b"POST / HTTP/1.1\r\nHost: -\r\nContent-Length: %d\r\n\r\n" % LINGER_MAX_BYTES


class Flow(FlowControl):
    """uvicorn's flow control, which does not resume while bytes that were read wait to be parsed."""

    is_held = False

    def resume_reading(self) -> None:
        """Read on, unless bytes are held."""
        if not self.is_held:
            super().resume_reading()


class HTTPProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which cuts a connection whose request does not arrive in time.

    It parses piece by piece, up to the first request that has to wait for the answer to the one before. A request that
    is refused while it is parsed is answered in its turn.
    """

    flow: Flow
    parser: RequestParser  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = RequestParser(self)
        self._deadline: asyncio.TimerHandle | None = None
        self._held = b""
        self._is_refused = self._is_over = False
        self._thrown_away = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock, or refuse the connection if too many are open."""
        super().connection_made(cast("asyncio.Transport", QuietTransport(transport)))
        self._peer = Peer(self.client)
        self.flow = Flow(self.transport)
        # Refused connections too: close() waits until the client has read the answer.
        self._expect_more(within=REQUEST_SECONDS)
        if len(self.connections) > connections_max():
            logger.warning("Connections are refused: %d are open already.", connections_max())
            self._write(FULL)
            self.transport.close()
        elif not self._peer.enter():
            self._write(TOO_MANY)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock and drop the held bytes."""
        self._expect_nothing()
        self._held = b""
        self._peer.leave()
        heads.count(self, 0)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, behind the held bytes. Drop it after a refusal."""
        if not self._is_over:
            self._take(self._held + data)
            return
        self._thrown_away += len(data)
        if self._thrown_away > LINGER_MAX_BYTES:
            self.transport.abort()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a client that ended its side after its request (RFC 9112, section 9.6), then close."""
        if not self.is_answering():
            return False
        # True keeps the other direction open: the answer still has to be written.
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._thrown_away = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body. Close the connection if too much arrives after the answer."""
        super().on_body(body)
        if self.cycle.response_complete:
            self._thrown_away += len(body)
            if self._thrown_away > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
                self.transport.close()

    def on_response_complete(self) -> None:
        """Go on with the held bytes after an answer."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._held = b""
        elif self._held and not self.pipeline:
            self._take(self._held)
        elif not self.parser.is_between:
            self._watch_the_clock()

    def refuse(self, refusal: Refusal) -> None:
        """Answer the request that is being parsed with a refusal, and parse no further request of this connection."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        if self.parser.is_in_head:  # not a request yet: a stand-in takes all further bytes as its body
            self.app = partial(_refuse, refusal)
            self.parser = RequestParser(self)
            self.parser.feed_data(_STAND_IN)
        elif self.pipeline:
            # It waits for its turn, with no answer begun: the refusal takes the place of its application.
            self.pipeline[0] = (self.cycle, partial(_refuse, refusal))
        else:
            self._break_off(refusal)

    def _break_off(self, refusal: Refusal) -> None:
        """Answer a request whose body cannot be read on, unless an answer has begun, and end the connection.

        What still comes is dropped for a moment: a connection that is closed with unread bytes loses the answer.
        """
        if self.cycle.response_started:
            self.transport.close()
            return
        self._write(refusal)
        self._is_over = self.cycle.disconnected = True
        # The application may wait for more of the body: it gets a disconnect.
        self.cycle.message_event.set()
        self.transport.write_eof()
        self._held, self.flow.is_held = b"", False
        self.flow.resume_reading()
        self._expect_nothing()
        self._expect_more(within=LINGER_SECONDS)

    def _write(self, refusal: Refusal) -> None:
        REFUSED.labels(reason=refusal.code).inc()
        # Past uvicorn, which answers requests by their application: here is no request yet, or one that is broken off.
        head = b"HTTP/1.1 %d \r\n" % refusal.status
        fields = b"".join(b"%s: %s\r\n" % field for field in refusal.headers)
        self.transport.write(head + fields + b"\r\n" + refusal.body)

    def _take(self, data: bytes) -> None:
        """Parse bytes up to the first request that has to wait for its turn, and hold the rest."""
        at = 0
        while at < len(data) and not self.pipeline and not self.transport.is_closing():
            super().data_received(data[at : at + PIECE_BYTES])
            at += PIECE_BYTES
            heads.count(self, self.parser.head_under_way)
            if self._is_over:
                return
            if self.transport.get_protocol() is not self:  # a WebSocket now
                self._expect_nothing()
                self._peer.leave()  # WebSockets have a count of their own: middleware/connections.py
                return
        self._held = data[at:]
        if self._held:
            self.flow.pause_reading()
            self.flow.is_held = True
        elif self.flow.is_held:
            self.flow.is_held = False
            self.flow.resume_reading()
        self._watch_the_clock()

    def is_answering(self) -> bool:
        """Return whether the newest request is whole and has no answer yet."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _watch_the_clock(self) -> None:
        if self._held or self.is_answering():
            self._expect_nothing()
        elif self.cycle is None or not self.parser.is_between:
            self._expect_more(within=REQUEST_SECONDS)
        else:
            self._expect_nothing()
            self._expect_more(within=KEEP_ALIVE_SECONDS)

    def _expect_more(self, *, within: float) -> None:
        # A clock that runs goes on: a client that sends a byte now and then gains no time.
        if self._deadline is None:
            self._deadline = self.loop.call_later(within, self.transport.abort)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def _refuse(refusal: Refusal, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 ASGI's signature
    await answer(refusal, receive=receive, send=send)

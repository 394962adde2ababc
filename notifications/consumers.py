"""The WebSocket consumer: a connection from its first frame to its end."""

import asyncio
import logging
import uuid
from contextlib import suppress
from typing import Any

from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import StopConsumer
from django.db import Error as DatabaseError

from database.errors import describe
from notifications import auth, metrics, protocol
from notifications.delivery import confirmations, connections, reconciler
from notifications.delivery.cursor import ClientGoneError, Sent
from notifications.delivery.subscription import Subscription
from notifications.protocol import CloseCode

logger = logging.getLogger(__name__)


class NotificationConsumer(AsyncConsumer):
    """Registers a client for a user's notifications, as the WebSocket client guide says.

    A client that is not registered has `registration_seconds` to become so.
    """

    def __init__(self, *, registration_seconds: float = 30.0) -> None:
        self._registration_seconds = registration_seconds
        self._connection_id = uuid.uuid4().hex
        self._subscription: Subscription | None = None
        self._sent: tuple[str, Sent | None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._expiry: asyncio.Task[None] | None = None
        self._accepted_at = 0.0
        self._round_trip: float | None = None
        self._ended = False
        self._subprotocol: str | None = None
        """The first that the client offers. Browsers fail a connection whose offers are all passed over
        (https://websockets.spec.whatwg.org/#concept-websocket-establish), and the frames are the same with any."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the connection; however it ends, it is forgotten everywhere.

        Channels' own way has two tasks for each connection and a new one for each message, so as to listen to a
        layer as well, which this consumer does not.
        """
        self.base_send = send
        self._subprotocol = next(filter(None, scope.get("subprotocols", ())), None)
        with metrics.CONNECTIONS.track_inprogress(), connections.is_open(self):
            try:
                while True:
                    await self.dispatch(await receive())
            except StopConsumer:
                pass
            finally:
                await self._end()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle what the server says. Channels' own way goes through the one thread that a process shares.

        Only StopConsumer gets out: on anything else servers close with 1011.
        """
        try:
            await getattr(self, get_handler_name(message))(message)
        except StopConsumer:
            raise
        except ClientGoneError:
            pass
        except Exception:
            logger.exception("A WebSocket event could not be handled.")

    async def websocket_connect(self, message: dict[str, Any]) -> None:  # noqa: ARG002 Channels' signature
        self._expect_registration()
        await self._transmit({"type": "websocket.accept", "subprotocol": self._subprotocol})
        self._accepted_at = asyncio.get_running_loop().time()
        if connections.is_draining():
            await self.dismiss()

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        if self._ended:
            return
        if self._round_trip is None:  # no client speaks before it was accepted: at most this long is the way
            self._round_trip = asyncio.get_running_loop().time() - self._accepted_at
        match protocol.parse(message.get("text")):
            case protocol.Register() as request:
                await self._authorize_and_register(request)
            case protocol.Ping():
                await self._send(protocol.PONG)
            case None:
                await self._send(protocol.INVALID_MESSAGE)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        if self._subscription and not self._ended and _was_closed_cleanly(message):
            self._subscription.confirm_closed()
        raise StopConsumer

    async def dismiss(self) -> None:
        """Tell the client that the server goes away, and end."""
        await self._close(CloseCode.GOING_AWAY)

    async def _authorize_and_register(self, request: protocol.Register) -> None:
        try:
            auth.authorize(user_id=request.user_id, token=request.token)
        except auth.UnauthorizedError as error:
            metrics.REGISTRATIONS.labels("unauthorized").inc()
            await self._send(protocol.error(message=str(error), code="unauthorized"))
            await self._close(CloseCode.UNAUTHORIZED)
        else:
            await self._register(request)

    async def _register(self, request: protocol.Register) -> None:
        if self._subscription:
            self._sent = (self._subscription.user_id, await self._subscription.retire())
            self._leave()
            self._expect_registration()
        self._subscription = subscription = Subscription(
            user_id=request.user_id,
            connection_id=self._connection_id,
            last_seq=request.last_seq,
            epoch=request.epoch,
            sent=self._sent[1] if self._sent and self._sent[0] == request.user_id else None,
            round_trip=self._round_trip or 0.0,
            send=self._send,
            close=self._close,
        )
        try:
            await subscription.start()
        except ClientGoneError:
            raise
        except Exception as error:
            # In an outage of the database this is written for each client that tries: in one line.
            unforeseen = not isinstance(error, DatabaseError)
            logger.warning("A registration failed: %s", describe(error), exc_info=unforeseen)
            metrics.REGISTRATIONS.labels("unavailable").inc()
            self._leave()
            await self._send(protocol.UNAVAILABLE)
        else:
            metrics.REGISTRATIONS.labels("registered").inc()
            self._expect_nothing()
            reconciler.add(subscription)
            await subscription.send_missed()

    def _leave(self) -> None:
        """Leave the user's feed; nothing of it is sent any more."""
        if self._subscription:
            reconciler.discard(self._subscription)
            self._subscription.stop()
            self._subscription = None

    async def _end(self) -> None:
        self._ended = True
        self._expect_nothing()
        subscription = self._subscription
        self._leave()
        if subscription:
            await subscription.stopped()
            await confirmations.settled()

    def _expect_registration(self) -> None:
        """Close the connection unless it registers in time."""
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._registration_seconds, self._expire)

    def _expect_nothing(self) -> None:
        if self._deadline:
            self._deadline.cancel()

    def _expire(self) -> None:
        self._expiry = asyncio.create_task(self._close(CloseCode.REGISTRATION_TIMEOUT))

    async def _send(self, text: str) -> None:
        """Send a frame, or raise ClientGoneError."""
        await self._transmit({"type": "websocket.send", "text": text})

    async def _close(self, code: CloseCode) -> None:
        with suppress(ClientGoneError):
            await self._transmit({"type": "websocket.close", "code": int(code)})
            metrics.CLOSED.labels(int(code)).inc()

    async def _transmit(self, message: dict[str, Any]) -> None:
        """Hand a message to the server. What it raises says that the connection has ended, each server its own way."""
        if self._ended:
            raise ClientGoneError
        self._ended = message["type"] == "websocket.close"
        try:
            await self.send(message)
        except Exception as error:
            self._ended = True
            raise ClientGoneError from error


def _was_closed_cleanly(message: dict[str, Any]) -> bool:
    """Tell whether the client closed the connection, and did not just vanish.

    Its own codes are 1000, 1001 (a page that is left) and 3000 to 4999 (RFC 6455, section 7.4). 1005 is a close
    without a code; uvicorn says it of lost connections too, but gives those no reason, not even an empty one.
    """
    code = message.get("code")
    return code in {1000, 1001} or code in range(3000, 5000) or (code == 1005 and "reason" in message)  # noqa: PLR2004

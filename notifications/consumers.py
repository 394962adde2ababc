"""Serve a WebSocket connection from its first event to its end."""

import asyncio
import logging
import uuid
from contextlib import suppress
from typing import Any

from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import StopConsumer
from django.db import Error as DatabaseError

from access import limits
from access.addresses import client_address
from access.refusals import Kind, refused
from database.errors import describe
from notifications import metrics, protocol
from notifications.auth import grants, handshake
from notifications.delivery import cursor
from notifications.delivery import hub as hubs
from notifications.delivery.permission import Permission
from notifications.delivery.socket import ClientGoneError, Socket
from notifications.delivery.subscription import Subscription
from notifications.protocol import CloseCode

logger = logging.getLogger(__name__)


class NotificationConsumer(AsyncConsumer):
    """Registers a client for a user's notifications, as the WebSocket client guide says.

    A client has `registration_seconds` to register. The hub (notifications/delivery/hub.py) joins the user's group,
    with one channel of the layer for the whole process.
    """

    def __init__(self, *, registration_seconds: float = 30.0) -> None:
        self._registration_seconds = registration_seconds
        self._connection_id = uuid.uuid4().hex
        self._subscription: Subscription | None = None
        self._sent: tuple[str, cursor.Place | None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        # The event loop holds its tasks weakly: without a reference a farewell could be collected before it is sent.
        self._farewell: asyncio.Task[None] | None = None
        self._accepted_at = 0.0
        self._round_trip: float | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the connection, and remove it from the hub however it ends.

        Channels' own `__call__` opens a channel of the layer before it accepts a client, so that no client could
        connect while Redis is away. It also keeps two tasks for each connection and starts one for each message.
        """
        self.scope, self.base_send = scope, send
        self._hub, self._socket = hubs.current(), Socket(self.send)
        self._handshake = handshake.read(scope)
        self._permission = Permission(revoke=self._revoke, logins_watch=self._hub.logins)
        with metrics.CONNECTIONS.track_inprogress(), self._hub.holding(self._socket):
            try:
                while True:
                    await self.dispatch(await receive())
            except StopConsumer:
                pass
            finally:
                await self._end()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle an ASGI event. Channels' own `dispatch` first waits for the one thread that a process shares.

        Only StopConsumer is raised: on any other exception servers close with 1011.
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
        """Accept the client, or refuse it with HTTP 403. Close it at once while the process drains."""
        if not grants.may_connect(self._handshake):
            refused(Kind.ORIGIN, self.scope)
            await self._socket.close(CloseCode.UNAUTHORIZED)
            raise StopConsumer
        self._expect_registration()
        # Also while the process drains: before it is accepted a client gets HTTP 403, and no close code.
        await self._socket.accept(subprotocol=self._handshake.subprotocol)
        self._accepted_at = asyncio.get_running_loop().time()
        if hubs.is_draining():
            await self._socket.close(CloseCode.GOING_AWAY)

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        """Answer a registration, a ping or an invalid message."""
        if self._socket.has_ended:  # the client sent this before it saw the close
            return
        if self._round_trip is None:  # an upper bound: a client sends nothing before it is accepted
            self._round_trip = asyncio.get_running_loop().time() - self._accepted_at
        match protocol.parse(message.get("text")):
            case protocol.Register() as request:
                await self._authorize_and_register(request)
            case protocol.Ping():
                await self._socket.send(protocol.PONG)
            case None:
                await self._socket.send(protocol.INVALID_MESSAGE)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        """Confirm what had arrived, if the client closed the connection itself. Then end."""
        # A close that the service began confirms nothing: uvicorn reports it without the client's answer.
        if self._subscription and not self._socket.has_ended and _was_closed_cleanly(message):
            self._subscription.confirm_closed()
        raise StopConsumer

    async def _authorize_and_register(self, request: protocol.Register) -> None:
        address = client_address(self.scope)
        # Counted before the token is verified, which may wait for an issuer, and in this process alone: a round trip
        # to Redis for each registration would cost all clients (docs/decisions/0048).
        if seconds := limits.hit_here("registrations-per-address", address):
            await self._turn_away(seconds)
            return
        try:
            grant = await grants.authorize(
                user_id=request.user_id, token=request.token, handshake=self._handshake
            )
        except grants.UnauthorizedError as error:
            metrics.REGISTRATIONS.labels("unauthorized").inc()
            refused(Kind.TOKEN, self.scope)
            # Only failures count here: however many an address has, a right token is served as before.
            seconds = await asyncio.to_thread(limits.hit, "failures-per-address", "socket", address)
            await (self._turn_away(seconds) if seconds else self._send_away(str(error)))
        except (grants.KeysUnavailableError, DatabaseError) as error:
            await self._leave_to_register()
            await self._fail(error)
        else:
            await self._leave_to_register()
            self._permission.renew(grant, user_id=request.user_id)
            await self._register(request)

    def _revoke(self, reason: str) -> None:
        """Send the client nothing from now on but the reason, and close the connection."""
        if self._subscription:
            self._subscription.stop()
        self._farewell = asyncio.create_task(self._send_away(reason))

    async def _send_away(self, reason: str) -> None:
        with suppress(ClientGoneError):
            await self._socket.send(protocol.error(message=reason, code="unauthorized"))
        await self._socket.close(CloseCode.UNAUTHORIZED)

    async def _turn_away(self, seconds: int) -> None:
        """Close the connection of a client that does more than it may, and say when to try again."""
        metrics.REGISTRATIONS.labels("limited").inc()
        refused(Kind.LIMIT, self.scope)
        message = f"Too many registrations or connections. Try again in {seconds} seconds."
        with suppress(ClientGoneError):
            await self._socket.send(protocol.rate_limited(message, seconds=seconds))
        await self._socket.close(CloseCode.TOO_MANY, reason=message)

    async def _leave_to_register(self) -> None:
        """Leave the feed of an earlier registration. The client has to register again in time."""
        if self._subscription:
            self._sent = (self._subscription.user_id, await self._subscription.finish())
            self._leave()
            self._expect_registration()

    async def _register(self, request: protocol.Register) -> None:
        self._subscription = subscription = Subscription(
            request=request,
            connection_id=self._connection_id,
            socket=self._socket,
            clock=self._hub.clock,
            confirmations=self._hub.confirmations,
            # A place in another user's feed says nothing about this one.
            sent=self._sent[1] if self._sent and self._sent[0] == request.user_id else None,
            round_trip=self._round_trip or 0.0,
        )
        try:
            await self._hub.register(subscription)
        except ClientGoneError:
            raise  # nobody is left to get the answer that the last branch sends
        except limits.LimitReached as error:
            self._permission.end()
            self._leave()
            await self._turn_away(error.seconds)
        except Exception as error:  # noqa: BLE001 it is logged
            await self._fail(error)
        else:
            metrics.REGISTRATIONS.labels("registered").inc()
            self._expect_nothing()
            await subscription.send_missed()

    async def _fail(self, error: Exception) -> None:
        # In an outage of the database each client that registers comes here: log one line, without a traceback.
        unforeseen = not isinstance(error, DatabaseError | grants.KeysUnavailableError)
        reason = describe(error)
        logger.warning("A registration failed: %s", reason, exc_info=unforeseen, extra={"reason": reason})
        metrics.REGISTRATIONS.labels("unavailable").inc()
        self._permission.end()
        self._leave()
        await self._socket.send(protocol.UNAVAILABLE)

    def _leave(self) -> None:
        if self._subscription:
            self._hub.leave(self._subscription)
            self._subscription = None

    async def _end(self) -> None:
        # First of all, so that nothing that still runs for this connection sends to it.
        self._socket.has_ended = True
        self._expect_nothing()
        self._permission.end()
        if self._subscription:
            await self._hub.end(self._subscription)

    def _expect_registration(self) -> None:
        """Close the connection unless it registers in time."""
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._registration_seconds, self._expire)

    def _expect_nothing(self) -> None:
        if self._deadline:
            self._deadline.cancel()

    def _expire(self) -> None:
        refused(Kind.LIMIT, self.scope)
        self._farewell = asyncio.create_task(self._socket.close(CloseCode.REGISTRATION_TIMEOUT))


def _was_closed_cleanly(message: dict[str, Any]) -> bool:
    """Return whether the client closed the connection, rather than vanished.

    A client may send 1000, 1001 (a page that is left) and 3000 to 4999 (RFC 6455, section 7.4). 1005 is a close frame
    without a code. uvicorn reports 1005 for lost connections too, but without the key `reason`.
    """
    code = message.get("code")
    return code in {1000, 1001} or code in range(3000, 5000) or (code == 1005 and "reason" in message)  # noqa: PLR2004

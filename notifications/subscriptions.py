"""A registered connection: from joining its user's group to leaving it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from django.conf import settings

from notifications import feed, groups, positions
from notifications.cursor import ClientGoneError, Cursor
from notifications.database import in_thread, in_writing_thread
from notifications.protocol import CloseCode

logger = logging.getLogger(__name__)

GRACE_SECONDS = 0.1
"""How long the reconciler gives a wake that may just be under way."""


class Subscription:
    """Has one connection sent its user's notifications, whatever brings them.

    One lock guards its cursor, so that a wake, a read of the feed and the reconciler can never send side by side.
    """

    def __init__(
        self,
        *,
        user_id: str,
        connection_id: str,
        last_seq: int | None,
        sent: int | None = None,
        round_trip: float,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[CloseCode], Coroutine[Any, Any, None]],
    ) -> None:
        """Take the place of a connection in its user's feed; see Cursor."""
        self.user_id = user_id
        self._connection_id = connection_id
        self._send = send
        self._close = close
        self._exclusive = settings.NOTIFICATIONS_CONNECTIONS == "latest"
        self._cursor = Cursor(
            user_id=user_id,
            last_seq=last_seq,
            sent=sent,
            round_trip=round_trip,
            send=self._send_unless_stopped,
        )
        self._lock = asyncio.Lock()
        self._stopped = False
        self._repair: asyncio.Task[None] | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._membership: groups.Membership | None = None

    async def start(self) -> None:
        """Join the group, then find the place in the feed and confirm the registration. Wakes wait until then.

        The group comes first: what is committed in between is brought by both, not by neither. Raises
        ClientGoneError, and a DatabaseError before anything is sent.
        """
        async with self._lock:
            self._membership = groups.Membership(user_id=self.user_id, deliver=self.receive)
            await self._membership.tried()
            position = await positions.read_position(user_id=self.user_id)
            if self._exclusive:  # before it is confirmed: who registers later then claims later
                await in_writing_thread(feed.claim, user_id=self.user_id, connection_id=self._connection_id)
            await self._cursor.take_place(position)
        if self._exclusive:
            await groups.wake_to_compare(user_id=self.user_id)

    async def send_missed(self) -> None:
        """Send what the client has not got yet. Raises ClientGoneError."""
        async with self._lock:
            await self._cursor.send_missed()

    async def retire(self) -> int | None:
        """Stop once what is being sent is sent.

        Return the number up to which everything was sent, or None where something before it is still missing.
        """
        self._stopped = True
        async with self._lock:
            self.stop()
            return self._cursor.seq if self._cursor.has_sent_offer() else None

    def stop(self) -> None:
        """Send nothing from now on, and start to leave the group."""
        self._stopped = True
        if self._repair:
            self._repair.cancel()
        if self._membership:
            self._membership.leave()

    async def stopped(self) -> None:
        """Return when the group is left, or the channel layer could not do it in time."""
        if self._membership:
            await self._membership.left()

    def confirm_outlived(self) -> None:
        """Confirm what the connection has outlived; see Cursor."""
        self._cursor.confirm_outlived()

    def confirm_closed(self) -> None:
        """Confirm what arrived before the client closed the connection cleanly."""
        self._cursor.confirm_closed()

    def compare(self, head: feed.Head) -> None:
        """Hold this against the feed's row, which is the truth: end if replaced, catch up if behind.

        It never waits, so that one slow client does not hold up the others. While something is being sent it does
        nothing: the next comparison follows.
        """
        if self._stopped:
            return
        if self._exclusive and head.latest_connection != self._connection_id:
            self.stop()
            self._farewell = asyncio.create_task(self._close(CloseCode.REPLACED))
        elif self._cursor.is_behind(head.newest) and not self._is_sending():
            self._repair = asyncio.create_task(self._reconcile(head.newest))

    def _is_sending(self) -> bool:
        return self._lock.locked() or (self._repair is not None and not self._repair.done())

    async def _reconcile(self, newest: int) -> None:
        await asyncio.sleep(GRACE_SECONDS)
        try:
            async with self._lock:
                await self._cursor.catch_up(newest, path="reconciler")
        except ClientGoneError:
            pass

    async def receive(self, message: dict[str, Any]) -> None:
        """Take a message of the group. It raises nothing: the next message has to be taken, too."""
        try:
            if message["type"] == "feed.notification":
                async with self._lock:
                    await self._cursor.push(message["seq"], message["frame"])
            elif message["type"] == "feed.sync":
                await self._compare_now()
        except ClientGoneError:
            pass
        except Exception:
            logger.exception("A message of a user's group could not be taken.")

    async def _compare_now(self) -> None:
        async with self._lock:  # else a registration under way would be held against the row before its claim
            heads = await in_thread(feed.read_heads, user_ids=[self.user_id])
        if self.user_id in heads:
            self.compare(heads[self.user_id])

    async def _send_unless_stopped(self, text: str) -> None:
        if self._stopped:
            raise ClientGoneError
        await self._send(text)

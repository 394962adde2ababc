"""A registered connection, and how far into its user's feed it has been sent."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError

from notifications import feed, groups, metrics, protocol
from notifications.database import in_thread
from notifications.protocol import CloseCode

logger = logging.getLogger(__name__)

PAGE_SIZE = 100
GRACE_SECONDS = 0.1
"""How long the reconciler gives a wake that may just be under way."""


class ClientGoneError(Exception):
    """The connection has ended, or is being closed: there is nobody to send to."""


class Subscription:
    """Sends one connection its user's notifications: each once, in order, none left out.

    `cursor` is the number of the last one sent. One lock guards it, so that a wake, a read of the feed and the
    reconciler can never send side by side.
    """

    def __init__(
        self,
        *,
        user_id: str,
        connection_id: str,
        last_seq: int | None,
        sent: int | None = None,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[CloseCode], Coroutine[Any, Any, None]],
    ) -> None:
        """Take the place of a connection in its user's feed.

        `last_seq` is what the client says it has; None: it does not count. Then `sent` is what this connection was
        sent before as the same user, None if it was not registered. `send` raises ClientGoneError.
        """
        self.user_id = user_id
        self._connection_id = connection_id
        self._last_seq = last_seq
        self._sent = sent
        self._send = send
        self._close = close
        self._exclusive = settings.NOTIFICATIONS_CONNECTIONS == "latest"
        self._cursor = self._newest_at_start = 0
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
            position = await in_thread(feed.read_position, user_id=self.user_id)
            if self._exclusive:  # before it is confirmed: who registers later then claims later
                await in_thread(feed.claim, user_id=self.user_id, connection_id=self._connection_id)
            await self._send(self._take_place(position))
        if self._exclusive:
            await groups.wake_to_compare(user_id=self.user_id)

    def _take_place(self, position: feed.Position) -> str:
        """Set the cursor; return the confirmation."""
        self._newest_at_start = self._cursor = position.newest
        if self._last_seq is None:
            if self._sent is not None and position.is_kept_after(self._sent):
                self._cursor = self._sent
            return protocol.registration_success(user_id=self.user_id)
        resumed = position.is_kept_after(self._last_seq)
        if resumed:
            self._cursor = self._last_seq
        return protocol.resumption_success(user_id=self.user_id, newest=position.newest, resumed=resumed)

    async def send_missed(self) -> None:
        """Send what a client that resumes, or registered again, has not got yet. Raises ClientGoneError."""
        async with self._lock:
            await self._catch_up(self._newest_at_start, path="resume")

    async def retire(self) -> int:
        """Stop once what is being sent is sent; return the number of the last that was."""
        self._stopped = True
        async with self._lock:
            self.stop()
            return self._cursor

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
        elif head.newest > self._cursor and not self._is_sending():
            self._repair = asyncio.create_task(self._reconcile(head.newest))

    def _is_sending(self) -> bool:
        return self._lock.locked() or (self._repair is not None and not self._repair.done())

    async def _reconcile(self, newest: int) -> None:
        await asyncio.sleep(GRACE_SECONDS)
        try:
            async with self._lock:
                await self._catch_up(newest, path="reconciler")
        except ClientGoneError:
            pass

    async def receive(self, message: dict[str, Any]) -> None:
        """Take a message of the group. It raises nothing: the next message has to be taken, too."""
        try:
            if message["type"] == "feed.notification":
                await self._push(message["seq"], message["frame"])
            elif message["type"] == "feed.sync":
                await self._compare_now()
        except ClientGoneError:
            pass
        except Exception:
            logger.exception("A message of a user's group could not be taken.")

    async def _push(self, seq: int, frame: str) -> None:
        async with self._lock:
            if seq == self._cursor + 1:
                await self._send_notification(seq, frame, path="wake")
            elif seq > self._cursor:
                await self._read_and_send(path="gap")

    async def _compare_now(self) -> None:
        async with self._lock:  # else a registration under way would be held against the row before its claim
            heads = await in_thread(feed.read_heads, user_ids=[self.user_id])
        if self.user_id in heads:
            self.compare(heads[self.user_id])

    async def _catch_up(self, newest: int, *, path: str) -> None:
        """Send up to `newest`, a number read from the feed's row; a number that has no notification is passed."""
        if newest > self._cursor and await self._read_and_send(path=path):
            self._cursor = max(self._cursor, newest)

    async def _read_and_send(self, *, path: str) -> bool:
        """Send all that the feed has after the cursor; tell whether the database let us."""
        while True:
            try:
                rows = await in_thread(
                    feed.read_after, user_id=self.user_id, seq=self._cursor, limit=PAGE_SIZE
                )
            except DatabaseError:
                metrics.READ_FAILURES.inc()
                logger.warning("A feed could not be read; the reconciler tries again.", exc_info=True)
                return False
            for seq, frame in rows:
                await self._send_notification(seq, frame, path=path)
            if len(rows) < PAGE_SIZE:
                return True

    async def _send_notification(self, seq: int, frame: str, *, path: str) -> None:
        if self._stopped:
            raise ClientGoneError
        await self._send(frame if self._last_seq is None else protocol.with_seq(frame, seq))
        self._cursor = seq
        _SENT[path].inc()


_SENT = {path: metrics.SENT.labels(path) for path in ("wake", "gap", "resume", "reconciler")}

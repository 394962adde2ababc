"""A registered connection: from joining its user's group to leaving it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import OperationalError

from notifications import feed, installation
from notifications.delivery import losses, registration_reads
from notifications.delivery.cursor import ClientGoneError, Cursor, Sent
from notifications.delivery.threads import in_thread, in_writing_thread
from notifications.fanout import groups, seal
from notifications.installation import Identity
from notifications.protocol import CloseCode

logger = logging.getLogger(__name__)

GRACE_SECONDS = 0.1
"""How long the reconciler gives a wake that may just be under way."""

EPOCHS_MAX = 3
"""How many epochs a registration may see. More are no failover, but two databases behind one address."""


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
        epoch: str | None = None,
        sent: Sent | None = None,
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
            epoch=epoch,
            sent=sent,
            round_trip=round_trip,
            send=self._send_unless_stopped,
        )
        self._lock = asyncio.Lock()
        self._stopped = False
        self._epoch = ""
        self._repair: asyncio.Task[None] | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._membership: groups.Membership | None = None

    @property
    def seq(self) -> int:
        """The number of the last notification that was sent."""
        return self._cursor.seq

    async def start(self) -> None:
        """Join the group, then find the place in the feed and confirm the registration. Wakes wait until then.

        The group comes first: what is committed in between is brought by both, not by neither. Raises
        ClientGoneError, and a DatabaseError before anything is sent.
        """
        async with self._lock:
            identity, position = await self._join_and_read()
            self._epoch = identity.epoch
            if self._exclusive:  # before it is confirmed: who registers later then claims later
                await in_writing_thread(feed.claim, user_id=self.user_id, connection_id=self._connection_id)
            await self._cursor.take_place(position)
        if self._exclusive:
            await groups.wake_to_compare(user_id=self.user_id, identity=identity)

    async def _join_and_read(self) -> tuple[Identity, feed.Position]:
        """Join the group, and read the position in the feed; do it anew if an epoch ended in between."""
        for _ in range(EPOCHS_MAX):
            identity = await _identity()
            self._membership = groups.Membership(
                user_id=self.user_id, identity=identity, deliver=self.receive
            )
            await self._membership.tried()
            position = await registration_reads.read_position(user_id=self.user_id)
            if position.epoch == identity.epoch:
                return identity, position
            self._membership.leave()
        raise OperationalError("The database is one server now and another then.")

    async def send_missed(self) -> None:
        """Send what the client has not got yet. Raises ClientGoneError."""
        async with self._lock:
            await self._cursor.send_missed()

    async def retire(self) -> Sent | None:
        """Stop once what is being sent is sent.

        Return up to where everything was sent, or None where something before it is still missing.
        """
        self._stopped = True
        async with self._lock:
            self.stop()
            return Sent(self._cursor.seq, self._epoch) if self._cursor.has_sent_offer() else None

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

    def is_stopped(self) -> bool:
        """Tell whether nothing is sent any more."""
        return self._stopped

    def is_of(self, epoch: str) -> bool:
        """Tell whether this counts in the epoch that the feeds' numbers have."""
        return epoch == self._epoch

    async def dismiss(self) -> None:
        """Send the client away to register again: its numbers may be others' by now."""
        self.stop()
        await self._close(CloseCode.GOING_AWAY)

    def compare(self, head: feed.Head, *, seq: int) -> None:
        """Hold this against the feed's row, which is the truth: end if replaced, catch up if behind.

        `seq` is what it had sent before the row was read. A row that ends before that has lost numbers.

        It never waits, so that one slow client does not hold up the others. While something is being sent it does
        nothing: the next comparison follows.
        """
        if self._stopped:
            return
        has_lost_claim = self._exclusive and not head.latest_connection
        has_lost = head.newest < seq or has_lost_claim
        if self._exclusive and head.latest_connection != self._connection_id and not has_lost:
            self.stop()
            self._farewell = asyncio.create_task(self._close(CloseCode.REPLACED))
        elif self._is_sending():
            return
        elif has_lost:
            self._repair = asyncio.create_task(self._look_into_loss(seq, has_lost_claim=has_lost_claim))
        elif self._cursor.is_behind(head.newest):
            self._repair = asyncio.create_task(self._reconcile(head.newest))

    def _is_sending(self) -> bool:
        return self._lock.locked() or (self._repair is not None and not self._repair.done())

    async def _look_into_loss(self, seq: int, *, has_lost_claim: bool) -> None:
        """Send nothing until it is known whether the feed has lost numbers; then end."""
        async with self._lock:
            try:
                is_lost = await in_writing_thread(
                    losses.is_lost, user_id=self.user_id, seq=seq, epoch=self._epoch
                )
            except DatabaseError as error:
                logger.warning("A feed seems to have lost numbers (%s); asking again.", type(error).__name__)
                return
            if is_lost or has_lost_claim:
                self._farewell = asyncio.create_task(self.dismiss())

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
                    await self._push(message)
            elif message["type"] == "feed.sync":
                await self._compare_now()
        except ClientGoneError:
            pass
        except Exception:
            logger.exception("A message of a user's group could not be taken.")

    async def _push(self, message: dict[str, Any]) -> None:
        if message["epoch"] != self._epoch:
            seal.refuse("epoch")
        elif self._cursor.is_contradicted(message["seq"], message["frame"]):
            await self._look_into_contradiction(message["seq"], message["frame"])
        else:
            await self._cursor.push(message["seq"], message["frame"])

    async def _look_into_contradiction(self, seq: int, frame: str) -> None:
        """End if the database really has another notification under a number that was sent."""
        try:
            is_lost = await in_writing_thread(
                losses.is_given_again,
                user_id=self.user_id,
                seq=seq,
                frame=frame,
                epoch=self._epoch,
            )
        except DatabaseError as error:
            logger.warning("A feed seems to have lost numbers (%s).", type(error).__name__)
            return
        if is_lost:
            self.stop()  # at once: what comes next would be sent as if nothing was missing
            self._farewell = asyncio.create_task(self._close(CloseCode.GOING_AWAY))

    async def _compare_now(self) -> None:
        async with self._lock:  # else a registration under way would be held against the row before its claim
            seq = self.seq
            epoch, heads = await in_thread(feed.read_truth, user_ids=[self.user_id])
        if self.is_of(epoch):
            self.compare(heads[self.user_id], seq=seq)

    async def _send_unless_stopped(self, text: str) -> None:
        if self._stopped:
            raise ClientGoneError
        await self._send(text)


async def _identity() -> Identity:
    """Return this installation's identity. Of many who ask at once, a few read it for all."""
    if fresh := installation.fresh():
        return fresh
    return await in_thread(installation.current)

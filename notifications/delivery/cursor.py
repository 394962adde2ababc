"""How far into its user's feed one connection has been sent: what comes next, and what must have arrived."""

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from django.db import Error as DatabaseError

from database.errors import describe
from notifications import feed, metrics, protocol
from notifications.delivery import confirmations
from notifications.delivery.confirmations import Receipt
from notifications.delivery.threads import in_thread, in_writing_thread

logger = logging.getLogger(__name__)

PAGE_SIZE = 100
REMEMBERED = 8
"""Frames of the last numbers that were sent: another one under such a number says that the database has lost commits."""


class ClientGoneError(Exception):
    """The connection has ended, or is being closed: there is nobody to send to."""


class Sent(NamedTuple):
    """Up to which number of which epoch a connection was sent everything."""

    seq: int
    epoch: str


class Cursor:
    """Sends one connection its user's notifications: each once, in order, none left out.

    `seq` is the number of the last one sent. Nothing here may run side by side: the caller holds a lock.
    """

    def __init__(
        self,
        *,
        user_id: str,
        last_seq: int | None,
        epoch: str | None,
        sent: Sent | None,
        round_trip: float,
        send: Callable[[str], Awaitable[None]],
    ) -> None:
        """`last_seq` is what the client says it has, in this epoch if it says one; None: it does not count.

        Then `sent` is what this connection was sent before as the same user, None if it was not registered.
        `round_trip` is how long the client took to answer something, in seconds. `send` raises ClientGoneError.
        """
        self.seq = 0
        self._user_id = user_id
        self._last_seq = last_seq
        self._epoch = epoch
        self._sent = sent
        self._send = send
        self._newest_at_start = 0
        self._unoffered: int | None = None
        self._remembered: dict[int, int] = {}
        self._receipt = Receipt(round_trip=round_trip) if last_seq is None else None

    async def take_place(self, position: feed.Position) -> None:
        """Find the place in the feed, and confirm the registration. Raises ClientGoneError."""
        self._newest_at_start = self.seq = position.newest
        asked_in, self._epoch = self._epoch, position.epoch
        if self._last_seq is None:
            if self._sent is not None and position.can_resume(self._sent.seq, epoch=self._sent.epoch):
                self.seq = self._sent.seq
                self._note_sent()
            elif position.newest > position.confirmed:
                self._unoffered = position.confirmed
            await self._send(protocol.registration_success(user_id=self._user_id))
            return
        resumed = position.can_resume(self._last_seq, epoch=asked_in)
        if resumed:
            self.seq = self._last_seq
        text = protocol.resumption_success(
            user_id=self._user_id, newest=position.newest, resumed=resumed, epoch=position.epoch
        )
        await self._send(text)

    async def send_missed(self) -> None:
        """Send what came before the registration and has not been sent. Raises ClientGoneError."""
        await self.catch_up(self._newest_at_start, path="resume")

    def is_contradicted(self, seq: int, frame: str) -> bool:
        """Tell whether another notification was sent with this number before."""
        return self._remembered.get(seq, hash(frame)) != hash(frame)

    async def push(self, seq: int, frame: str) -> None:
        """Send a notification if its turn has come, after all before it; one that was sent is dropped."""
        if not await self._send_offer():
            return
        if seq == self.seq + 1:
            await self._send_notification(seq, frame, path="wake")
        elif seq > self.seq:
            await self._read_and_send(path="gap")

    async def catch_up(self, newest: int, *, path: str) -> None:
        """Send up to `newest`, a number read from the feed's row; a number that has no notification is passed."""
        if await self._send_offer() and newest > self.seq and await self._read_and_send(path=path):
            self.seq = max(self.seq, newest)

    def is_behind(self, newest: int) -> bool:
        """Tell whether something up to `newest` has still to be sent."""
        return newest > self.seq or not self.has_sent_offer()

    def has_sent_offer(self) -> bool:
        """Tell whether a plain client was sent all that it was offered when it registered."""
        return self._unoffered is None

    def confirm_outlived(self) -> None:
        """Confirm what a plain client must have got by now."""
        if self._receipt is not None:
            self._confirm(self._receipt.outlived(now=confirmations.clock().now))

    def confirm_closed(self) -> None:
        """Confirm what a plain client has got that closed its connection cleanly."""
        if self._receipt is not None:
            self._confirm(self._receipt.closed(now=confirmations.clock().now))

    def _confirm(self, seq: int | None) -> None:
        if seq and self._epoch:
            confirmations.confirm(user_id=self._user_id, seq=seq, epoch=self._epoch)

    async def _send_offer(self) -> bool:
        """Send a plain client what no other is known to have got; tell whether the database let us.

        It comes before all that is newer: a client of the guide shows what came last.
        """
        while self._unoffered is not None:
            rows = await self._read(
                feed.offer, thread=in_writing_thread, after=self._unoffered, up_to=self._newest_at_start
            )
            if rows is None:
                return False
            for seq, frame in rows:
                await self._send_frame(frame, path="offer")
                self._unoffered = seq
            if len(rows) < PAGE_SIZE:
                self._unoffered = None
                self._note_sent()
        return True

    async def _read_and_send(self, *, path: str) -> bool:
        """Send all that the feed has after the cursor; tell whether the database let us."""
        while True:
            rows = await self._read(feed.read_after, seq=self.seq)
            if rows is None:
                return False
            for seq, frame in rows:
                await self._send_notification(seq, frame, path=path)
            if len(rows) < PAGE_SIZE:
                return True

    async def _read(
        self,
        read: Callable[..., list[tuple[int, str]]],
        *,
        thread: Callable[..., Awaitable[list[tuple[int, str]]]] = in_thread,
        **which: int,
    ) -> list[tuple[int, str]] | None:
        """Return a page of notifications, or None where the database fails: the reconciler tries again."""
        try:
            return await thread(read, user_id=self._user_id, limit=PAGE_SIZE, **which)
        except DatabaseError as error:
            metrics.READ_FAILURES.inc()
            logger.warning("A feed could not be read: %s; the reconciler tries again.", describe(error))
            return None

    async def _send_notification(self, seq: int, frame: str, *, path: str) -> None:
        await self._send_frame(frame if self._last_seq is None else protocol.with_seq(frame, seq), path=path)
        self.seq = seq
        self._remembered[seq] = hash(frame)
        self._remembered.pop(seq - REMEMBERED, None)
        self._note_sent()

    async def _send_frame(self, text: str, *, path: str) -> None:
        await self._send(text)
        _SENT[path].inc()

    def _note_sent(self) -> None:
        if self._receipt is not None:
            self._receipt.sent(self.seq, at=confirmations.clock().now)


_SENT = {path: metrics.SENT.labels(path) for path in ("wake", "gap", "resume", "offer", "reconciler")}

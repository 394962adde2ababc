"""Serve one registered connection by its pump, which alone reads the user's feed and sends.

A wake, the comparison each second and the registration note their news on the cursor and start the pump. The pump runs
until the connection has everything. So no two tasks send to one connection, and a slow client delays no other.
"""

import asyncio
import logging

from django.conf import settings

from notifications import metrics, protocol
from notifications.delivery import reads
from notifications.delivery.confirmations import Confirmations, window_seconds
from notifications.delivery.cursor import Cursor, Frame, Page, Place
from notifications.delivery.receipts import DeliveryTracker, UptimeClock
from notifications.delivery.socket import ClientGoneError, Socket
from notifications.delivery.states import FeedState
from notifications.protocol import CloseCode, Register

logger = logging.getLogger(__name__)

GRACE_SECONDS = 0.1
"""A comparison waits this long for a wake that may be on its way."""


class Subscription:
    """Sends one connection its user's notifications: each once, in order, none left out."""

    def __init__(
        self,
        *,
        request: Register,
        connection_id: str,
        socket: Socket,
        clock: UptimeClock,
        confirmations: Confirmations,
        sent: Place | None = None,
        round_trip: float = 0.0,
    ) -> None:
        """Take the client's `request`. `sent`: see Cursor. `round_trip` (seconds): see DeliveryTracker."""
        self.user_id = request.user_id
        self.connection_id = connection_id
        self.socket = socket
        self.epoch = self.group = ""
        self.is_exclusive = settings.NOTIFICATIONS_CONNECTIONS == "latest"
        self.is_stopped = False
        self.confirming: asyncio.Future[None] | None = None
        self._disconnects = 0
        self._last_seq = request.last_seq
        self._is_plain = self._last_seq is None
        claim = connection_id if self.is_exclusive else None
        # A plain client that registers again goes on where this connection was; another one gives its own place.
        after = sent if request.last_seq is None else Place(request.last_seq, request.epoch)
        self.cursor = Cursor(after=after, is_plain=self._is_plain, connection_id=claim)
        self._clock = clock
        self._confirmations = confirmations
        self._tracker = DeliveryTracker(round_trip=round_trip)
        self._is_pumping = True  # until `send_missed`
        self._pump: asyncio.Task[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._farewell: asyncio.Task[None] | None = None

    @property
    def is_live(self) -> bool:
        """Whether it has taken its place in the feed and has not ended."""
        return self.cursor.is_placed and not self.is_stopped

    def is_behind(self, state: FeedState) -> bool:
        """Return whether the client asks for what came after the number that it sent."""
        return self._last_seq is not None and self._last_seq < state.newest

    async def confirm(self, state: FeedState) -> None:
        """Take the place in the feed, and confirm the registration. Raises ClientGoneError."""
        # As of this read: only a request that is counted later ends the connection.
        self._disconnects = state.disconnects
        resumed = self.cursor.place(state)
        if resumed:  # it goes on where its connection was, whose last frames nobody confirms otherwise
            self._note_delivery()
        of_feed = {"lastSeq": state.newest, "resumed": resumed, "epoch": state.epoch}
        of_resuming = {} if self._is_plain else of_feed
        await self._send_text(protocol.registration_success(user_id=self.user_id, **of_resuming))

    async def send_missed(self) -> None:
        """Send what was missed before the registration, in place of the pump; then let it go on.

        Returns once that was sent, or cannot be read now. Raises ClientGoneError.
        """
        # Only up to here: on a busy feed the end would move away, and the client's pings would wait.
        until = self.cursor.known
        try:
            while self.cursor.is_redelivering or self.cursor.seq < until:
                if self.is_stopped or not await self._step():
                    break
        finally:
            self._is_pumping = False
        self._start()  # wakes that came meanwhile found a pump that seemed to run

    def wake(self, seq: int, text: str) -> None:
        """Note a notification of this epoch from the channel layer."""
        self.cursor.wake(seq, text)
        self._start()

    def compare(self, state: FeedState, *, sent: int) -> None:
        """Compare with the feed state, which was read after the connection was at `sent`. Returns at once."""
        if self.is_stopped:
            return
        if state.disconnects > self._disconnects:
            self.end(CloseCode.UNAUTHORIZED)
        elif self.cursor.compare(state, sent=sent):
            self.end(CloseCode.REPLACED)
        elif self.cursor.doubt:
            self._start()
        elif self._grace is None and (state.newest > self.cursor.seq or self.cursor.is_behind()):
            self._grace = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._learn, state.newest)

    def confirm_outlived(self) -> None:
        """Confirm what a plain client must have got by now."""
        self._confirm(self._tracker.outlived(now=self._clock.now, window=window_seconds()))

    def confirm_closed(self) -> None:
        """Confirm what had arrived before the client closed the connection cleanly."""
        self._confirm(self._tracker.closed(now=self._clock.now))

    def stop(self) -> None:
        """Send nothing from now on."""
        self.is_stopped = True
        if self._grace:
            self._grace.cancel()
        # The pump itself may stop the connection, in the middle of a step. It sees `is_stopped` and ends.
        if self._pump and self._pump is not asyncio.current_task():
            self._pump.cancel()

    def end(self, code: CloseCode) -> None:
        """Send nothing from now on, and close the connection."""
        self.stop()
        self._farewell = asyncio.create_task(self.socket.close(code))

    async def finish(self) -> Place | None:
        """Stop after the frame that is being sent; return the place, or None if a redelivery is not complete."""
        self.is_stopped = True
        # Not cancelled: of a frame whose sending is cut short nobody knows whether it was sent.
        if self._pump:
            await asyncio.wait({self._pump})
        self.stop()
        return None if self.cursor.is_redelivering else Place(self.cursor.seq, self.epoch)

    def _confirm(self, seq: int | None) -> None:
        if seq:
            self.confirming = self._confirmations.add(user_id=self.user_id, seq=seq, epoch=self.epoch)

    def _learn(self, newest: int) -> None:
        self._grace = None
        self.cursor.learn(newest)
        self._start()

    def _start(self) -> None:
        """Start the pump if it does not run and has something to do."""
        if not self._is_pumping and not self.is_stopped and self.cursor.is_behind():
            self._is_pumping = True
            self._pump = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self.cursor.is_behind() and not self.is_stopped and await self._step():
                pass
        except ClientGoneError:
            pass
        except Exception:
            logger.exception("A connection could not be sent what is new; the reconciler tries again.")
        finally:  # no await since the last look at the cursor: news from now on starts a new pump
            self._is_pumping = False

    async def _step(self) -> bool:
        """Do what comes next. Return False if the database failed: the next comparison starts the pump again."""
        if doubt := self.cursor.next_doubt():
            has_lost = await reads.has_lost(doubt, user_id=self.user_id, epoch=self.epoch)
            if has_lost or (doubt.must_end and has_lost is not None):
                self.end(CloseCode.GOING_AWAY)
        elif frame := self.cursor.next_frame():
            await self._send(frame)
        else:
            return await self._send_page(self.cursor.next_page())
        return True

    async def _send_page(self, page: Page) -> bool:
        rows = await reads.read_page(page, user_id=self.user_id, epoch=self.epoch)
        if rows is None:
            return False
        for seq, text in rows:
            await self._send(Frame(seq, text, page.path))
        self.cursor.end_page(page, found=len(rows))
        if page.is_redelivery:
            self._note_delivery()
        return True

    async def _send(self, frame: Frame) -> None:
        # The client guide's frames have no number. Clients that resume get it as a further key.
        await self._send_text(frame.text if self._is_plain else protocol.with_seq(frame.text, frame.seq))
        metrics.SENT.labels(frame.path).inc()
        self.cursor.sent(frame)
        self._note_delivery()

    async def _send_text(self, text: str) -> None:
        if self.is_stopped:
            raise ClientGoneError
        await self.socket.send(text)

    def _note_delivery(self) -> None:
        """Track the delivery of what a plain client was sent, once its redelivery is complete."""
        # Before that, to confirm a number would also confirm older ones that are still to be redelivered.
        if self._is_plain and not self.cursor.is_redelivering:
            self._tracker.sent(self.cursor.seq, at=self._clock.now)

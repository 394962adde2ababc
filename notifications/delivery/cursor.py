"""Keep one connection's place in its user's feed, and decide what to send next. No I/O.

The cursor notes wakes, the feed state at the registration, and the comparison each second. The pump
(notifications/delivery/subscription.py) asks it what to do next until nothing is left to do.
"""

from typing import NamedTuple

from notifications.delivery.states import FeedState

PAGE_SIZE = 100
"""Notifications in one read of the feed."""
PENDING_MAX = 64
"""Frames of wakes that are kept until their turn. Further ones are read from the feed."""
REMEMBERED = 8
"""This many of the last sent frames are remembered. Another frame under such a number shows that the database has lost
commits."""


class Place(NamedTuple):
    """The number up to which a client was sent everything, and its epoch. None: the client did not send it."""

    seq: int
    epoch: str | None


class Frame(NamedTuple):
    """A notification to send: its number, its text, and the `path` that brought it, a label of the metric SENT."""

    seq: int
    text: str
    path: str


class Page(NamedTuple):
    """A read of the feed: at most PAGE_SIZE notifications after `after`.

    `up_to`: the newest number that the feed is known to have given. A number up to it that is not found was pruned.
    `is_redelivery`: read only what is redelivered to a plain client, and only up to that number.
    """

    after: int
    up_to: int
    path: str
    is_redelivery: bool = False


class Doubt(NamedTuple):
    """A sign that the database has lost numbers. The pump checks it before it sends anything else.

    `frame`: another notification arrived under a number that was sent. None: the feed ends before that number.
    `must_end`: the connection has to register again in any case.
    """

    seq: int
    frame: str | None = None
    must_end: bool = False


class Cursor:
    """The place of a connection: `seq` is the last number that was sent, `known` the newest that the feed has given."""

    def __init__(
        self, *, after: Place | None = None, is_plain: bool = True, connection_id: str | None = None
    ) -> None:
        """Go on after the client's place, or a plain client's before it registered again. None: it has none.

        `connection_id` is given if a newer connection of the user replaces this one.
        """
        self.seq = 0
        self.is_placed = False
        self.doubt: Doubt | None = None
        self._after = after
        self._is_plain = is_plain
        self._connection_id = connection_id
        self.known = 0
        self._path = "resume"
        self._woken = 0
        self._pending: dict[int, str] = {}
        # By number. Hashes, since texts of up to 16 KiB would stay in memory for each idle connection.
        self._remembered: dict[int, int] = {}
        self._redeliver_after: int | None = None
        self._redeliver_up_to = 0

    def place(self, state: FeedState) -> bool:
        """Take the place in the feed; return whether everything after the client's number follows.

        A plain client first gets what is not confirmed again, unless its connection goes on where it was.
        """
        self.seq = self.known = state.newest
        can_resume = self._after is not None and state.can_resume(self._after.seq, epoch=self._after.epoch)
        if self._after and can_resume:
            self.seq = self._after.seq
        elif self._is_plain and state.newest > state.confirmed:
            self._redeliver_after, self._redeliver_up_to = state.confirmed, state.newest
        self.is_placed = True
        self._drop_sent()
        return can_resume

    def wake(self, seq: int, text: str) -> None:
        """Note a notification from the channel layer. One that was sent already is dropped."""
        if seq <= self.seq:
            if self._remembered.get(seq, hash(text)) != hash(text):
                self.doubt = Doubt(seq, text)
            return
        if self._pending.get(seq, text) != text:
            self._contradict(seq, text)
        elif len(self._pending) < PENDING_MAX:
            self._pending[seq] = text
        self._woken = max(self._woken, seq)

    def compare(self, state: FeedState, *, sent: int) -> bool:
        """Compare with the feed state; return whether a newer connection has replaced this one.

        `sent` is the number that was sent before the state was read. If the feed ends before it, numbers are lost. If
        the feed has no latest connection any more, its whole row was lost.
        """
        has_lost_claim = self._connection_id is not None and not state.latest_connection
        if state.newest < sent or has_lost_claim:
            self.doubt = self.doubt or Doubt(sent, must_end=has_lost_claim)
            return False
        return self._connection_id is not None and state.latest_connection != self._connection_id

    def learn(self, newest: int) -> None:
        """Note the newest number, as the reconciler read it from the feed's row."""
        if newest > self.known:
            self.known, self._path = newest, "reconciler"

    def is_behind(self) -> bool:
        """Return whether anything has to be checked, read or sent."""
        is_missing = self._woken > self.seq or self.known > self.seq
        return self.is_placed and (is_missing or self.is_redelivering or self.doubt is not None)

    @property
    def is_redelivering(self) -> bool:
        """Whether a redelivery to a plain client is not complete yet."""
        return self._redeliver_after is not None

    def next_doubt(self) -> Doubt | None:
        """Return the doubt to check before anything else is sent, and forget it."""
        doubt, self.doubt = self.doubt, None
        return doubt

    def next_frame(self) -> Frame | None:
        """Return the next notification if its frame is here. None: read the next page."""
        # What is redelivered has lower numbers, so it is sent first.
        if self._redeliver_after is not None or self.seq + 1 not in self._pending:
            return None
        return Frame(self.seq + 1, self._pending.pop(self.seq + 1), "wake")

    def next_page(self) -> Page:
        """Return what to read next. The feed has all that wakes brought until now, so their frames are dropped."""
        if self._redeliver_after is not None:
            return Page(self._redeliver_after, self._redeliver_up_to, "redelivery", is_redelivery=True)
        # Nothing older than the read may stay: it could be of a commit that the database has lost.
        self._pending.clear()
        self._woken = 0
        return Page(self.seq, self.known, self._path if self.known > self.seq else "gap")

    def sent(self, frame: Frame) -> None:
        """Note that a frame was sent."""
        if self._redeliver_after is not None:
            self._redeliver_after = frame.seq
            return
        if self._pending.pop(frame.seq, frame.text) != frame.text:
            self._contradict(frame.seq, frame.text)
        self.seq = frame.seq
        self._remembered[frame.seq] = hash(frame.text)
        self._remembered.pop(frame.seq - REMEMBERED, None)

    def end_page(self, page: Page, *, found: int) -> None:
        """Note that all `found` notifications of a page were sent. After a full page more may follow."""
        is_full = found == PAGE_SIZE
        if page.is_redelivery:
            self._redeliver_after = self._redeliver_after if is_full else None
        elif is_full:
            self._woken = max(self._woken, self.seq + 1)  # so that `is_behind` asks for the next page
        else:
            # What was not found was pruned. Without this step the pump would ask for it again and again.
            self.seq = max(self.seq, page.up_to)
            self._drop_sent()

    def _drop_sent(self) -> None:
        self._pending = {seq: text for seq, text in self._pending.items() if seq > self.seq}

    def _contradict(self, seq: int, text: str) -> None:
        """Drop the waiting frames, since two notifications came under one number: the feed has to be read."""
        self._pending.clear()
        if self.is_placed:  # before it, nothing was sent that could be wrong, and the feed is read at once
            self.doubt = Doubt(seq, text)

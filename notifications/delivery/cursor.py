"""Where one connection is in its user's feed, and what it is sent next. No I/O.

Whatever brings news is noted here: wakes, the feed's state at the registration, the comparison each second. The
pump (notifications/delivery/subscription.py) asks what is to be done next until nothing is.
"""

from typing import NamedTuple

from notifications.history import FeedHead, FeedState

PAGE_SIZE = 100
"""Notifications in one read of the feed."""
PENDING_MAX = 64
"""Frames of wakes that are kept until their turn. The rest is read from the feed."""
REMEMBERED = 8
"""Frames that were sent last. Another frame with such a number shows that the database has lost commits."""


class Place(NamedTuple):
    """Up to which number of which epoch a connection was sent everything."""

    seq: int
    epoch: str


class Frame(NamedTuple):
    """A notification to send: its number, its text, and what brought it, for the metric of that name."""

    seq: int
    text: str
    path: str


class Page(NamedTuple):
    """A read of the feed: at most PAGE_SIZE notifications after `after`.

    `up_to`: the newest number that the feed is known to have given. Up to it, what is not found is not kept.
    `is_redelivery`: only what a plain client is sent again, and only up to that number.
    """

    after: int
    up_to: int
    path: str
    is_redelivery: bool = False


class Doubt(NamedTuple):
    """A sign that the database has lost numbers, to be looked into before anything else is sent.

    `frame`: another notification came under a number that was sent. None: the feed's row ends before that number.
    `must_end`: the connection has to register again in any case.
    """

    seq: int
    frame: str | None = None
    must_end: bool = False


class Cursor:
    """`seq` is the number of the last notification that was sent, `known` the newest that the feed has given.

    Each is sent once, in order, none left out.
    """

    def __init__(
        self,
        *,
        last_seq: int | None = None,
        epoch: str | None = None,
        sent: Place | None = None,
        connection_id: str | None = None,
    ) -> None:
        """`last_seq` is what the client says it has, in this epoch if it names one. None: it is a plain client.

        Then `sent` is what this connection was sent before as the same user. `connection_id` is given where a newer
        connection of the user replaces this one.
        """
        self.seq = 0
        self.is_placed = False
        self.doubt: Doubt | None = None
        self._last_seq = last_seq
        self._epoch = epoch
        self._sent = sent
        self._connection_id = connection_id
        self.known = 0
        self._path = "resume"
        self._woken = 0
        self._pending: dict[int, str] = {}
        self._remembered: dict[int, int] = {}
        self._redeliver_after: int | None = None
        self._redeliver_up_to = 0

    def place(self, state: FeedState) -> bool:
        """Find the place in the feed; return whether everything after the client's number follows.

        A plain client is first sent again what is not confirmed, unless this connection goes on where it was.
        """
        self.seq = self.known = state.newest
        seq, epoch = (
            (self._last_seq, self._epoch) if self._last_seq is not None else self._sent or (None, None)
        )
        resumed = seq is not None and state.can_resume(seq, epoch=epoch)
        if seq is not None and resumed:
            self.seq = seq
        elif self._last_seq is None and state.newest > state.confirmed:
            self._redeliver_after, self._redeliver_up_to = state.confirmed, state.newest
        self.is_placed = True
        self._drop_sent()
        return resumed

    def wake(self, seq: int, text: str) -> None:
        """Take a notification from the channel layer. One that was sent is dropped."""
        if seq <= self.seq:
            if self._remembered.get(seq, hash(text)) != hash(text):
                self.doubt = Doubt(seq, text)
            return
        if self._pending.get(seq, text) != text:
            self._contradict(seq, text)
        elif len(self._pending) < PENDING_MAX:
            self._pending[seq] = text
        self._woken = max(self._woken, seq)

    def compare(self, head: FeedHead, *, sent: int) -> bool:
        """Hold the cursor against its feed's row; return whether a newer connection has replaced this one.

        `sent` is the number that it had sent before the row was read. A row that ends before it has lost numbers, and
        one that has lost its newest connection was lost as a whole.
        """
        has_lost_claim = self._connection_id is not None and not head.latest_connection
        if head.newest < sent or has_lost_claim:
            self.doubt = self.doubt or Doubt(sent, must_end=has_lost_claim)
            return False
        return self._connection_id is not None and head.latest_connection != self._connection_id

    def learn(self, newest: int) -> None:
        """Note the newest number, read from the feed's row by the reconciler."""
        if newest > self.known:
            self.known, self._path = newest, "reconciler"

    def is_behind(self) -> bool:
        """Tell whether anything has to be looked into, read or sent."""
        is_missing = self._woken > self.seq or self.known > self.seq
        return self.is_placed and (is_missing or self.is_redelivering or self.doubt is not None)

    @property
    def is_redelivering(self) -> bool:
        """Whether a plain client has still to be sent again what is not confirmed."""
        return self._redeliver_after is not None

    def next_doubt(self) -> Doubt | None:
        """Return what is to be looked into before anything else is sent, once."""
        doubt, self.doubt = self.doubt, None
        return doubt

    def next_frame(self) -> Frame | None:
        """Return the next notification where it is here. None: read the next page."""
        if self._redeliver_after is not None or self.seq + 1 not in self._pending:
            return None
        return Frame(self.seq + 1, self._pending.pop(self.seq + 1), "wake")

    def next_page(self) -> Page:
        """Return what to read next. What wakes brought until now will be in it."""
        if self._redeliver_after is not None:
            return Page(self._redeliver_after, self._redeliver_up_to, "offer", is_redelivery=True)
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
        """Note that all notifications of a page were sent, so many. Where it is full, more may follow."""
        is_full = found == PAGE_SIZE
        if page.is_redelivery:
            self._redeliver_after = self._redeliver_after if is_full else None
        elif is_full:
            self._woken = max(self._woken, self.seq + 1)
        else:
            self.seq = max(self.seq, page.up_to)
            self._drop_sent()

    def _drop_sent(self) -> None:
        self._pending = {seq: text for seq, text in self._pending.items() if seq > self.seq}

    def _contradict(self, seq: int, text: str) -> None:
        """Two notifications came under one number: believe none of what waits, and read the feed."""
        self._pending.clear()
        if self.is_placed:
            self.doubt = Doubt(seq, text)

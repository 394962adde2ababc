"""What must have arrived at a plain client, which acknowledges nothing. No I/O: the caller says what time it is."""

WATCHED_MAX = 64
"""Sent notifications of one connection whose times are kept apart."""
CROSSING_SECONDS = (0.3, 1.0)
"""The least and the longest time for which a frame and a client's close may cross each other on the way."""
TICK_SECONDS = 0.1


class UptimeClock:
    """Seconds that this process has really run: `now` stops while the process does.

    A process that is stopped, or whose event loop is held up, can neither ping nor notice that a client has gone. So
    that time must not count as proof of delivery.
    """

    def __init__(self) -> None:
        self.now = 0.0

    def tick(self, elapsed: float) -> None:
        """Note the seconds since the last tick, which is due every TICK_SECONDS. Of a late one, most is left out."""
        self.now += min(elapsed, 2 * TICK_SECONDS)


class DeliveryTracker:
    """What one connection was sent, and when, in seconds of an UptimeClock.

    A notification counts as delivered once its connection has outlived the ping window after it: a ping went out
    behind it and was answered. Or the client closed the connection cleanly, later than the two could cross.
    """

    def __init__(self, *, round_trip: float) -> None:
        """`round_trip` is how long the client took to answer something, in seconds."""
        self._crossing = min(max(2 * round_trip, CROSSING_SECONDS[0]), CROSSING_SECONDS[1])
        self._sent: list[tuple[int, float]] = []

    def sent(self, seq: int, *, at: float) -> None:
        """Note that everything up to this number was sent."""
        if len(self._sent) == WATCHED_MAX:
            self._sent.pop()
        self._sent.append((seq, at))

    def outlived(self, *, now: float, window: float) -> int | None:
        """Return the number up to which everything has come to be delivered, if there is a new one.

        `window` is how long a connection that is dead can seem to live, in seconds.
        """
        return self._take(now - window)

    def closed(self, *, now: float) -> int | None:
        """Return the same after the client closed the connection cleanly."""
        return self._take(now - self._crossing)

    def _take(self, until: float) -> int | None:
        confirmed = None
        while self._sent and self._sent[0][1] <= until:
            confirmed, _ = self._sent.pop(0)
        return confirmed

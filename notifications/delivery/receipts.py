"""Infer what has arrived at a plain client, which acknowledges nothing. No I/O: the caller passes the time."""

WATCHED_MAX = 64
"""This many sent notifications of one connection have a time of their own."""
CROSSING_SECONDS = (0.3, 1.0)
"""The shortest and the longest time in which a frame and the client's close can cross on the way."""
TICK_SECONDS = 0.1


class UptimeClock:
    """A clock that stops while the process does. `now` is in seconds.

    A suspended process, or one whose event loop is blocked, can neither ping nor notice that a client has gone. So that
    time must not count as proof of delivery.
    """

    def __init__(self) -> None:
        self.now = 0.0

    def tick(self, elapsed: float) -> None:
        """Add the seconds since the last tick, at most 2 * TICK_SECONDS. A tick is due every TICK_SECONDS."""
        self.now += min(elapsed, 2 * TICK_SECONDS)


class DeliveryTracker:
    """Tracks what one connection was sent, and when, in seconds of an UptimeClock.

    A notification counts as delivered once its connection has outlived the ping window: a ping went out behind it and
    was answered. It also counts if the client closed the connection cleanly, later than close and frame could cross.
    """

    def __init__(self, *, round_trip: float) -> None:
        """Start with nothing sent. `round_trip`: how long the client took to answer something, in seconds."""
        self._crossing = min(max(2 * round_trip, CROSSING_SECONDS[0]), CROSSING_SECONDS[1])
        self._sent: list[tuple[int, float]] = []

    def sent(self, seq: int, *, at: float) -> None:
        """Note that everything up to this number was sent."""
        if len(self._sent) == WATCHED_MAX:
            # The newest two become one, with the later time: nothing is confirmed too early.
            self._sent.pop()
        self._sent.append((seq, at))

    def outlived(self, *, now: float, window: float) -> int | None:
        """Return the number up to which all counts as delivered, if it is new. `window`: see `window_seconds`."""
        return self._take(now - window)

    def closed(self, *, now: float) -> int | None:
        """Return the same number after the client closed the connection cleanly."""
        return self._take(now - self._crossing)

    def _take(self, until: float) -> int | None:
        confirmed = None
        while self._sent and self._sent[0][1] <= until:
            confirmed, _ = self._sent.pop(0)
        return confirmed

"""Count what clients do in the memory of this process, in a sliding window."""

import threading
import time
from math import ceil

CLIENTS_MAX = 100_000
"""Clients that are counted in one window, about 20 MB."""


class Window:
    """Counts clients over the last `seconds`, within an estimate. Any thread may use it; it waits for nothing.

    Time is cut into windows of `seconds`. Of the last whole one each client counts as far as the sliding window covers it
    still, as if it had come evenly (the sliding window counter of https://limits.readthedocs.io/en/stable/strategies.html).
    A count is forgotten with its window: the library's own storage in memory starts a thread for that, up to a hundred times
    a second, which looks at every client.
    """

    def __init__(self, *, seconds: int) -> None:
        self._seconds = seconds
        self._number = 0
        self._now: dict[tuple[str, ...], int] = {}
        self._before: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def hit(self, client: tuple[str, ...], *, amount: int) -> int:
        """Count one; return 0, or if that were more than `amount`, the seconds after which to try again."""
        with self._lock:
            passed = self._turn()
            before, now = self._before.get(client, 0), self._now.get(client, 0)
            if before * (1 - passed / self._seconds) + now + 1 <= amount:
                if len(self._now) >= CLIENTS_MAX:
                    self._now.clear()  # with so many it is no single one that does harm
                self._now[client] = now + 1
                return 0
        left = self._seconds - passed
        if now < amount:  # there is room again once enough of the window before has faded
            wait = left - self._seconds * (amount - 1 - now) / before
        else:  # this window has to fade itself, in the next one
            wait = left + self._seconds * (1 - (amount - 1) / now)
        return max(1, ceil(wait))

    def clear(self, client: tuple[str, ...]) -> None:
        """Forget a client."""
        with self._lock:
            self._now.pop(client, None)
            self._before.pop(client, None)

    def _turn(self) -> float:
        """Return how far the present window has come, in seconds."""
        number, passed = divmod(time.monotonic(), self._seconds)
        if number != self._number:
            self._before = self._now if number == self._number + 1 else {}
            self._now, self._number = {}, int(number)
        return passed

"""Bound the bytes of all requests' heads that have begun to arrive and have not ended."""

from typing import Protocol

from payments_project.middleware.bodies import BUSY
from payments_project.middleware.refusing import Refusal

SUM_MAX_BYTES = 16 * 1024 * 1024
"""A process holds this many bytes of heads. If more arrives, it refuses the head that has been arriving for longest."""


class Arriving(Protocol):
    """A connection whose request is arriving."""

    def refuse(self, refusal: Refusal) -> None:
        """Answer the request with a refusal."""


class Heads:
    """The heads under way in this process, those that began first before the others."""

    def __init__(self) -> None:
        # A dictionary keeps the order: its first head is the one that began first.
        self._sizes: dict[Arriving, int] = {}
        self._sum = 0

    def count(self, connection: Arriving, size: int) -> None:
        """Note how much of a head has arrived; 0: none is under way. Refuse others while they are too many."""
        if size:
            self._sum += size - self._sizes.get(connection, 0)
            self._sizes[connection] = size
        else:
            self._sum -= self._sizes.pop(connection, 0)
        while self._sum > SUM_MAX_BYTES:
            slowest = next(iter(self._sizes))
            self._sum -= self._sizes.pop(slowest)
            slowest.refuse(BUSY)


heads = Heads()
"""The heads of this process."""

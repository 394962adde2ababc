"""Store how far plain clients have got their notifications, for many users in one transaction."""

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass

from django.conf import settings
from django.db import Error as DatabaseError

from database.errors import describe
from database.threads import in_writing_thread
from notifications.batching import GATHER_SECONDS, QUERY_SIZE, Batcher
from notifications.delivery import history

logger = logging.getLogger(__name__)

WAITING_MAX = 10_000
"""Confirmations that wait. One that finds no room is dropped, and its notification is redelivered."""
RETRY_SECONDS = 1.0
TRIES = 10
"""A confirmation is tried this many times, RETRY_SECONDS apart, while the feed is locked. Then it is dropped."""


def window_seconds() -> float:
    """Return how long a dead connection can go unnoticed, in seconds: until the answer to the next ping is overdue."""
    # The interval, as long again for the answer, and slack for servers that look every two seconds.
    return float(2 * settings.WEBSOCKET_PING_SECONDS + 5)


@dataclass(slots=True)
class _Confirmation:
    """A plain client of the user has got everything up to this number of this epoch."""

    user_id: str
    seq: int
    epoch: str
    stored: "asyncio.Future[None]"
    tries: int = 0


class Confirmations:
    """The confirmations of one event loop that wait to be stored."""

    def __init__(self) -> None:
        self._batcher = Batcher(self._write, size=QUERY_SIZE, room=WAITING_MAX, pause_seconds=GATHER_SECONDS)

    def add(self, *, user_id: str, seq: int, epoch: str) -> "asyncio.Future[None]":
        """Store a confirmation soon; return a future that is done once it is stored, or dropped."""
        stored = asyncio.get_running_loop().create_future()
        self._put(_Confirmation(user_id, seq, epoch, stored))
        return stored

    def _put(self, confirmation: _Confirmation) -> None:
        if self._batcher.put(confirmation):
            confirmation.stored.set_result(None)

    async def _write(self, batch: list[_Confirmation]) -> None:
        # Numbers of two epochs cannot be compared: the larger one confirms the others of its own epoch alone.
        by_epoch = defaultdict(list)
        for confirmation in batch:
            by_epoch[confirmation.epoch].append(confirmation)
        for epoch, of_epoch in by_epoch.items():
            left = await self._write_epoch(epoch, of_epoch)
            for confirmation in of_epoch:
                self._finish(confirmation, is_left=confirmation.user_id in left)

    async def _write_epoch(self, epoch: str, batch: list[_Confirmation]) -> set[str]:
        """Return the users whose numbers could not be written for now."""
        numbers: dict[str, int] = {}
        for confirmation in batch:
            numbers[confirmation.user_id] = max(confirmation.seq, numbers.get(confirmation.user_id, 0))
        try:
            # Only the largest number of a user is written: it confirms all before it.
            return await in_writing_thread(history.confirm, numbers, epoch=epoch)
        except DatabaseError as error:
            reason = describe(error)
            logger.warning(
                "Confirmations could not be written, and are tried again: %s",
                reason,
                extra={"reason": reason},
            )
            return set(numbers)

    def _finish(self, confirmation: _Confirmation, *, is_left: bool) -> None:
        confirmation.tries += 1
        if is_left and confirmation.tries < TRIES:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._put, confirmation)
        elif not confirmation.stored.done():
            confirmation.stored.set_result(None)

"""Check that all listening processes hear each other, by messages over the channel layer and rows in the database.

After a failover of Redis some processes can stay connected to the old master. Each then hears itself, and not those on
the new one. So each sends its name to all every other second, and stores it in the database. If a stored name was not
heard for UNHEARD_ROUNDS in a row, both processes connect anew, to where the address leads now (docs/decisions/0031).
"""

import asyncio
import logging
import uuid
from contextlib import suppress
from datetime import timedelta

from channels.layers import BaseChannelLayer
from django.db import Error as DatabaseError
from django.db.models.functions import Now

from database.threads import in_writing_thread
from notifications import installation, metrics
from notifications.fanout import seal
from notifications.fanout.breaker import ChannelLayerAwayError, bounded
from notifications.models import Listener

logger = logging.getLogger(__name__)

LISTED_SECONDS = 4.0
"""A stored name counts for this time, by the database's clock. It expires before UNHEARD_ROUNDS are over, so that a
process that stops or dies is not reported."""
UNHEARD_ROUNDS = 3
UNHEARD_ROUNDS_MAX = 150
"""If connecting anew does not help, as with workers that have different addresses, it is tried less and less often."""
FORGOTTEN_AFTER = timedelta(hours=1)


class Peers:
    """The other processes that listen, as one process hears them.

    It counts rounds, not seconds: a process that was suspended must not take that time for silence of the others.
    """

    def __init__(self) -> None:
        self.is_split = False
        self._name = uuid.uuid4().hex
        self._group = ""
        self._patience = UNHEARD_ROUNDS
        self._round = 0  # `begin` does not reset it: others drop a lower number as a replayed message
        self._latest: dict[tuple[str, str], int] = {}
        self._heard: set[str] = set()
        self._unheard: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> str:
        """Start anew with the listener; return the group of all processes of the installation, to be joined."""
        identity = installation.known()
        self._group = seal.group_name("listener", identity.name if identity else "")
        self._heard, self._unheard, self.is_split = set(), {}, False
        return self._group

    def hear(self, message: dict[str, object]) -> None:
        """Handle a message of a process: its name, or the names of processes that it does not hear."""
        kind, name, number = str(message["type"]), str(message["name"]), int(str(message["round"]))
        if number <= self._latest.get((kind, name), 0):
            return  # others that write to Redis can send a message again: it is no sign of life
        self._latest[kind, name] = number
        if kind == "listener.hello":
            self._heard.add(name)
        elif self._name in str(message["names"]).split():
            self._split()

    def start_round(self, layer: BaseChannelLayer) -> None:
        """Send our name, and read the names of the others, unless the round before still runs."""
        is_shared = "processes" in getattr(layer, "extensions", ())  # not the layer in memory
        if is_shared and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._call(layer))

    async def _call(self, layer: BaseChannelLayer) -> None:
        self._round += 1
        with suppress(ChannelLayerAwayError, DatabaseError):  # the circuit breaker and the reconciler log it
            await self._send(layer, type="listener.hello")
            listed = await in_writing_thread(_sign_in, self._name, is_first=self._round == 1)
            if unheard := self._judge(listed - {self._name}):
                await self._send(layer, type="listener.unheard", names=" ".join(unheard))
                self._split()

    async def _send(self, layer: BaseChannelLayer, **values: str) -> None:
        message = values | {"group": self._group, "name": self._name, "round": self._round}
        async with bounded(layer):
            await layer.group_send(self._group, seal.sealed(message))

    def _judge(self, others: set[str]) -> list[str]:
        """Return the names of the others that were not heard for too long."""
        heard, self._heard = self._heard, set()
        self._unheard = {name: 0 if name in heard else self._unheard.get(name, 0) + 1 for name in others}
        # Without others nobody was heard, which does not show that the split is over.
        are_all_heard = bool(others) and not any(self._unheard.values()) and not self.is_split
        if are_all_heard and self._patience > UNHEARD_ROUNDS:
            self._patience = UNHEARD_ROUNDS
            logger.warning("All processes that use the channel layer hear each other again.")
        return [name for name, rounds in self._unheard.items() if rounds >= self._patience]

    def _split(self) -> None:
        """Make the listener connect anew, to where the address leads now."""
        if not self.is_split:
            self.is_split = True
            self._patience = min(2 * self._patience, UNHEARD_ROUNDS_MAX)
            metrics.SPLIT.inc()
            logger.warning("Processes that use the channel layer do not hear each other; connecting anew.")


def _sign_in(name: str, *, is_first: bool) -> set[str]:
    """Store that this process listens; return the names of all processes that do."""
    if is_first:
        Listener.objects.filter(seen_at__lt=Now() - FORGOTTEN_AFTER).delete()
    # Now() is the database's clock, one for all processes: those of machines differ.
    Listener.objects.bulk_create(
        [Listener(name=name, seen_at=Now())],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["seen_at"],
    )
    recent = Listener.objects.filter(seen_at__gt=Now() - timedelta(seconds=LISTED_SECONDS))
    return set(recent.values_list("name", flat=True))

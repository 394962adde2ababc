"""Whether all who listen hear each other: a call of the roll, by the database and over the channel layer.

After a failover of Redis some processes can stay connected to the old master, and others be connected to the new one.
Each hears itself, and nobody hears the others. So every other second each process that hears itself says its name to
all, and writes it into the database. Who is read there and was not heard for UNHEARD_ROUNDS in a row is on another
Redis: the address has to be resolved anew. They are told so as well: who is connected to a replica hears the others,
and is heard by none of them.
"""

import asyncio
import logging
import uuid
from contextlib import suppress
from datetime import timedelta

from channels.layers import BaseChannelLayer
from django.db import Error as DatabaseError
from django.db.models.functions import Now

from notifications import metrics
from notifications.delivery.threads import in_writing_thread
from notifications.fanout import seal
from notifications.fanout.breaker import ChannelLayerAwayError, bounded
from notifications.models import Listener

logger = logging.getLogger(__name__)

ROUND_BEATS = 2
"""How many beats of the line a round takes."""
LISTED_SECONDS = 4.0
"""How long a name counts that was written down, by the database's clock. It ends before UNHEARD_ROUNDS are over, so
that who stands still or dies is missed by nobody."""
UNHEARD_ROUNDS = 3
UNHEARD_ROUNDS_MAX = 150
"""Where connecting anew does not help, as with workers that were given different addresses, it is tried less often."""
FORGOTTEN_AFTER = timedelta(hours=1)


class Roll:
    """What one process knows of the others while its line is open.

    Rounds are counted, not seconds: a process that stood still takes nothing for silence.
    """

    def __init__(self) -> None:
        self.is_split = False
        self._name = uuid.uuid4().hex
        self._group = ""
        self._patience = UNHEARD_ROUNDS
        self._round = (
            0  # it only grows, however often the line is opened: others take a lower one for an old one
        )
        self._latest: dict[str, int] = {}
        self._complaints: dict[str, int] = {}
        self._heard: set[str] = set()
        self._unheard: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def begin(self, *, group: str) -> None:
        """Begin anew, on a line that was opened: `group` is that of all of the installation."""
        self.is_split = False
        self._group = group
        self._heard, self._unheard = set(), {}

    def hear(self, message: dict[str, object]) -> None:
        """Take what another says: its name, or the names of whom it does not hear."""
        if message["type"] == "line.unheard":
            if self._name in str(message["names"]).split() and self._is_new_complaint(message):
                self._split()
            return
        name, number = str(message["name"]), int(str(message["round"]))
        if number > self._latest.get(name, 0):  # what was said before and comes again is no sign of life
            self._latest[name] = number
            self._heard.add(name)

    def _is_new_complaint(self, message: dict[str, object]) -> bool:
        """Tell whether a complaint is no copy of one that was heard: whoever writes to Redis can send one again."""
        name, number = str(message["name"]), int(str(message["round"]))
        if number <= self._complaints.get(name, 0):
            return False
        self._complaints[name] = number
        return True

    def start_round(self, layer: BaseChannelLayer) -> None:
        """Say our name, and see who is there. A round that takes long is not begun a second time."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._call(layer))

    async def _call(self, layer: BaseChannelLayer) -> None:
        self._round += 1
        with suppress(ChannelLayerAwayError, DatabaseError):  # the line and the reconciler say so
            await self._say(layer, type="line.hello", name=self._name, round=self._round)
            listed = await in_writing_thread(_sign_in, self._name, is_first=self._round == 1)
            if unheard := self._judge(listed - {self._name}):
                names = " ".join(unheard)
                await self._say(layer, type="line.unheard", name=self._name, round=self._round, names=names)
                self._split()

    async def _say(self, layer: BaseChannelLayer, **message: str | int) -> None:
        async with bounded(layer):
            await layer.group_send(self._group, seal.sealed({"group": self._group, **message}))

    def _judge(self, others: set[str]) -> list[str]:
        """Return who of the others was not heard for too long."""
        heard, self._heard = self._heard, set()
        self._latest = {name: number for name, number in self._latest.items() if name in others}
        self._unheard = {name: 0 if name in heard else self._unheard.get(name, 0) + 1 for name in others}
        are_all_heard = bool(others) and not any(self._unheard.values()) and not self.is_split
        if are_all_heard and self._patience > UNHEARD_ROUNDS:
            self._patience = UNHEARD_ROUNDS
            logger.warning("All processes that use the channel layer hear each other again.")
        return [name for name, rounds in self._unheard.items() if rounds >= self._patience]

    def _split(self) -> None:
        """Have the line connect anew, to where the address leads now."""
        if not self.is_split:
            self.is_split = True
            self._patience = min(2 * self._patience, UNHEARD_ROUNDS_MAX)
            metrics.SPLIT.inc()
            logger.warning("Processes that use the channel layer do not hear each other; connecting anew.")


def _sign_in(name: str, *, is_first: bool) -> set[str]:
    """Write down that this process listens; return the names of all that do."""
    if is_first:
        Listener.objects.filter(seen_at__lt=Now() - FORGOTTEN_AFTER).delete()
    Listener.objects.bulk_create(
        [Listener(name=name, seen_at=Now())],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["seen_at"],
    )
    recent = Listener.objects.filter(seen_at__gt=Now() - timedelta(seconds=LISTED_SECONDS))
    return set(recent.values_list("name", flat=True))

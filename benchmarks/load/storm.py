"""A worker dies, and all its clients come back at once, while their users are sent things."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from typing import Any

from .alarm import Alarm
from .http import Pool
from .riders import Riders
from .tally import Tally

STEP_SECONDS = 0.02
NOTICED_SECONDS = 0.2
"""After so long it is known whose connections were lost."""
AGAIN_SECONDS = 0.1
"""How long a client waits after an attempt that failed, and Stripe after a delivery that did."""


class Storm:
    """Clients do not wait before they come back: the worst case. Request N is for user N."""

    def __init__(self, *, riders: Riders, pool: Pool, tally: Tally, requests: Sequence[bytes]) -> None:
        self._riders, self._pool, self._tally, self._requests = riders, pool, tally, requests
        self._lost: list[int] = []
        self._back: dict[int, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_over = False

    async def run(self, *, pid: int, rate: float, count: int, seconds: float) -> dict[str, Any]:
        """Kill the worker; notify `count` of the lost users meanwhile, and as many once they are back.

        Return how long it took from the kill until all of the lost were registered, and had been sent what was
        written meanwhile: None where that was not within `seconds`.
        """
        self._riders.on_lost = self._come_back
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(NOTICED_SECONDS)
        # Once each: a user whose second connection fails, too, is lost twice.
        lost = list(dict.fromkeys(self._lost))
        meanwhile, later = lost[:count], lost[count : 2 * count]
        end = began + seconds
        await self._notify(meanwhile, rate=rate)
        all_back = await self._until(lambda: all(user in self._back for user in self._lost), end)
        await self._until(lambda: self._is_notified(meanwhile), end)
        current = max((self._tally.framed[user] for user in meanwhile), default=began)
        registered = max(self._back.values(), default=began) - began if all_back else None
        await self._notify(later, rate=rate)
        await self._until(lambda: self._is_notified(later), time.perf_counter() + 3)
        self._is_over = True
        self._riders.on_lost = lambda _: None
        return {
            "lost": len(lost),
            "back": len(self._back),
            "registered_seconds": registered,
            "current_seconds": max(registered, current - began)
            if registered is not None and self._is_notified(meanwhile)
            else None,
            # The names are those of recorded runs, which `report` reads too.
            "told": len(meanwhile),
            "never_told": sum(not self._is_notified([user]) for user in meanwhile),
            "told_later": len(later),
            "never_told_later": sum(not self._is_notified([user]) for user in later),
            "repeated": self._tally.duplicates,
            "statuses": dict(self._tally.statuses),
        }

    def _is_notified(self, users: Sequence[int]) -> bool:
        return all(self._tally.framed[user] != float("inf") for user in users)

    async def _notify(self, users: Sequence[int], *, rate: float) -> None:
        due = time.perf_counter()
        with Alarm() as alarm:
            for user in users:
                if due > time.perf_counter():
                    await alarm.wait_until(due)
                self._tally.begin(user, due=due)
                self._deliver(user)
                due += 1 / rate

    def _deliver(self, user: int) -> None:
        """Deliver a webhook, as often as it takes."""

        def answered(status: int, _: bytes) -> None:
            self._tally.answer(user, status)
            if status != 200 and not self._is_over:  # noqa: PLR2004 what Stripe takes for delivered
                self._tally.open_answers += 1
                asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._deliver, user)

        self._pool.send(self._requests[user], answered)

    def _come_back(self, user: int) -> None:
        self._lost.append(user)
        task = asyncio.create_task(self._register(user))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _register(self, user: int) -> None:
        self._back.pop(user, None)
        while not self._is_over:
            if await self._riders.register(user):
                self._back[user] = time.perf_counter()
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _until(self, condition: Any, end: float) -> bool:
        while not condition():
            if time.perf_counter() > end:
                return False
            await asyncio.sleep(STEP_SECONDS)
        return True

"""The time of the plan, in seconds. It stands still while a fault takes longer than planned, as on a busy machine."""

import asyncio
import math
import time


class Clock:
    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stops_at = math.inf

    def now(self) -> float:
        return min(time.monotonic() - self._began, self._stops_at)

    def stop_at(self, at: float) -> None:
        """Stand still from then on, if `go` does not come first."""
        self._stops_at = at

    def go(self) -> None:
        """Go on from where it stands."""
        self._began = time.monotonic() - self.now()
        self._stops_at = math.inf

    async def reach(self, at: float) -> None:
        """Return when it is so late."""
        while (left := at - self.now()) > 0:  # noqa: ASYNC110 nobody knows for how long it stands still
            await asyncio.sleep(min(left, 0.1))

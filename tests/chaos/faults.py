"""The failures of a run, one after the other as planned."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from random import Random

from . import plan
from .clients import Client
from .clock import Clock
from .cluster import Cluster
from .plan import PlannedFault
from .records import FaultRecord

SHARE_THAT_STOPS_READING = 0.2
BREATH_SECONDS = 0.5
"""The least time between two faults, where the first took longer than planned."""


class Faults:
    """Breaks things, and mends them."""

    def __init__(
        self, *, cluster: Cluster, clients: Sequence[Client], planned: Sequence[PlannedFault]
    ) -> None:
        self.records: list[FaultRecord] = []
        self.current = ""
        self._cluster = cluster
        self._clients = clients
        self._planned = planned

    async def run(self, clock: Clock) -> None:
        """Return when all has happened and all is whole again."""
        for fault, next_at in zip(
            self._planned, [*(fault.at for fault in self._planned[1:]), math.inf], strict=True
        ):
            await clock.reach(fault.at)
            clock.stop_at(next_at)
            self.current = fault.kind
            since = time.time()
            await self._happen(fault)
            self.records.append(FaultRecord(kind=fault.kind, began=since, ended=time.time()))
            self.current = ""
            await asyncio.sleep(BREATH_SECONDS)
            clock.go()

    async def _happen(self, fault: PlannedFault) -> None:
        cluster, rng = self._cluster, Random(fault.seed)
        match fault.kind:
            case "worker killed":
                await asyncio.to_thread(cluster.kill_worker, rng.randrange(cluster.workers))
            case "worker stands still":
                with cluster.standing_still(rng.randrange(cluster.workers)):
                    await asyncio.sleep(fault.hold)
            case plan.ROLLING_RESTART:
                await asyncio.to_thread(cluster.restart_workers)
            case "Valkey restarted":
                await asyncio.to_thread(cluster.restart_valkey)
            case "PostgreSQL restarted":
                await asyncio.to_thread(cluster.restart_postgresql)
            case "Valkey in a black hole":
                await _for_a_while(cluster.valkey.black_hole, cluster.valkey.heal, fault.hold)
            case "PostgreSQL in a black hole":
                await _for_a_while(cluster.postgresql.black_hole, cluster.postgresql.heal, fault.hold)
            case "PostgreSQL cut off":
                await _for_a_while(
                    lambda: cluster.postgresql.cut(refuse=True), cluster.postgresql.heal, fault.hold
                )
            case "clients stop reading":
                count = round(len(self._clients) * SHARE_THAT_STOPS_READING)
                chosen = rng.sample(self._clients, count)
                await asyncio.gather(*(client.stop_reading(2 * fault.hold) for client in chosen))


async def _for_a_while(start: Callable[[], None], end: Callable[[], None], seconds: float) -> None:
    start()
    try:
        await asyncio.sleep(seconds)
    finally:
        end()

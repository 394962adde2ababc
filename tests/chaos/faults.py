"""The failures of a run, one after the other as planned."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random

from tests.chaos import plan
from tests.chaos.clients import Client
from tests.chaos.clock import Clock
from tests.chaos.cluster import Cluster
from tests.chaos.plan import PlannedFault
from tests.chaos.records import FaultRecord

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
            # The plan waits for a fault that takes longer, so that faults never overlap and each recovery has
            # one cause.
            clock.stop_at(next_at)
            self.current = fault.kind
            since = time.time()
            await self._happen(fault)
            self.records.append(FaultRecord(kind=fault.kind, began=since, ended=time.time()))
            self.current = ""
            await asyncio.sleep(BREATH_SECONDS)
            clock.go()

    async def _happen(self, fault: PlannedFault) -> None:
        """Do the one thing, or hold the other for as long as planned; return when it is over."""
        rng = Random(fault.seed)
        momentary, lasting = self._momentary(rng), self._lasting(rng)
        if fault.kind in momentary:
            await asyncio.to_thread(momentary[fault.kind])
        elif fault.kind in lasting:
            start, end = lasting[fault.kind]
            await asyncio.to_thread(start)
            try:
                await asyncio.sleep(fault.hold)
            # Mended even if the run is cancelled: what is frozen or cut off could not be stopped.
            finally:
                end()
        else:
            chosen = rng.sample(self._clients, round(len(self._clients) * SHARE_THAT_STOPS_READING))
            await asyncio.gather(*(client.stop_reading(2 * fault.hold) for client in chosen))

    def _momentary(self, rng: Random) -> Mapping[str, Callable[[], object]]:
        cluster = self._cluster
        return {
            "worker killed": partial(cluster.kill_worker, rng.randrange(cluster.workers)),
            plan.ROLLING_RESTART: cluster.restart_workers,
            "Valkey restarted": cluster.restart_valkey,
            "Valkey's connections dead": cluster.valkey.strand,
            "PostgreSQL restarted": cluster.restart_postgresql,
        }

    def _lasting(self, rng: Random) -> Mapping[str, tuple[Callable[[], object], Callable[[], object]]]:
        """Return how each begins and ends."""
        cluster, postgresql, valkey = self._cluster, self._cluster.postgresql, self._cluster.valkey
        return {
            "worker stands still": (partial(cluster.freeze, rng.randrange(cluster.workers)), cluster.thaw),
            "Valkey in a black hole": (valkey.black_hole, valkey.heal),
            "PostgreSQL in a black hole": (postgresql.black_hole, postgresql.heal),
            "PostgreSQL cut off": (partial(postgresql.cut, refuse=True), postgresql.heal),
        }

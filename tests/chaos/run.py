"""One run: from a cluster that works to a verdict."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from tests.chaos.clients import Client
from tests.chaos.clock import Clock
from tests.chaos.cluster import Cluster
from tests.chaos.faults import Faults
from tests.chaos.plan import Plan
from tests.chaos.recovery import Recovery, recoveries
from tests.chaos.stream import Stream
from tests.chaos.trace import write_trace
from tests.chaos.truth import read_truth, waiting_deliveries
from tests.chaos.verdict import Verdict, judge

DROPPED_SHARE = 0.05
ANSWER_SECONDS = 60.0
"""How long after the last fault it may take until every event is answered with 200."""
ARRIVAL_SECONDS = 20.0
"""How long after that a notification may be on its way: a dead connection has to be noticed, and a client to return."""

CANCEL_SECONDS = 2.0


@dataclass
class Outcome:
    """What a run comes to; `settled` says how many seconds after the last payment and fault all was as it should be."""

    plan: Plan
    verdict: Verdict
    recoveries: dict[str, Recovery]
    failures: dict[str, int]
    requests: int
    published: int
    dropped: int
    settled: float


class Run:
    """A run while it lasts."""

    def __init__(self, *, plan: Plan, cluster: Cluster, stream: Stream) -> None:
        self.plan = plan
        self.stream = stream
        self.calm = asyncio.Event()
        self.began = time.time()
        socket_url = f"{cluster.url.replace('http', 'ws', 1)}/basic/ws"
        self.clients = [Client(url=socket_url, planned=each, calm=self.calm) for each in plan.clients]
        self.faults = Faults(cluster=cluster, clients=self.clients, planned=plan.faults)
        self._cluster = cluster

    async def live(self) -> Outcome:
        """Go through the plan, then wait until all is settled, and judge."""
        self.began = time.time()
        valkey = self._cluster.valkey
        valkey.drop_publishes(DROPPED_SHARE, Random(f"{self.plan.seed} publishes"))
        async with _in_background(*(client.run() for client in self.clients)):
            clock = Clock()
            streaming = asyncio.create_task(self.stream.run(clock))
            await self.faults.run(clock)
            await clock.reach(self.plan.seconds)
            # From here on every client stays connected. What is still missing can arrive, or is lost.
            self.calm.set()
            ended = time.time()
            await asyncio.wait({streaming}, timeout=ANSWER_SECONDS)
            await _until(lambda: not waiting_deliveries(self._cluster.database_url), ANSWER_SECONDS)
            await _until(lambda: not self._judge().lost, ARRIVAL_SECONDS)
            settled = time.time() - ended
            verdict = self._judge()
        if streaming.done():
            streaming.result()
        streaming.cancel()
        if unfinished := len(self.plan.payments) - self.stream.done:
            verdict.wrong.append(f"The events of {unfinished} payments were not all answered with 200.")
        # A run in which nothing was broken proves nothing.
        if not self._cluster.valkey.dropped:
            verdict.wrong.append("Nothing that was published was dropped.")
        if not (verdict.resumable.reconnects and verdict.plain.reconnects):
            verdict.wrong.append("Nobody had to come back.")
        return self._conclude(verdict, settled)

    def _judge(self) -> Verdict:
        return judge(
            truth=read_truth(self._cluster.database_url),
            clients=[client.record for client in self.clients],
            made=self.stream.made,
            faults=self.faults.records,
            window=self._cluster.window,
        )

    def _conclude(self, verdict: Verdict, settled: float) -> Outcome:
        truth = read_truth(self._cluster.database_url)
        records = [client.record for client in self.clients]
        if not verdict.holds:
            write_trace(
                self._cluster.folder / "trace.json",
                truth=truth,
                clients=records,
                faults=self.faults.records,
            )
        return Outcome(
            plan=self.plan,
            verdict=verdict,
            recoveries=recoveries(faults=self.faults.records, truth=truth, clients=records),
            failures=dict(self.stream.failures),
            requests=self.stream.requests,
            published=self._cluster.valkey.published,
            dropped=self._cluster.valkey.dropped,
            settled=settled,
        )


@asynccontextmanager
async def _in_background(*coroutines) -> Iterator[None]:
    """Run coroutines until the block ends; then raise the error of one that failed."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        while left := [task for task in tasks if not task.done()]:  # one may be about to swallow it
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=CANCEL_SECONDS)


async def _until(condition: Callable[[], object], seconds: float) -> None:
    """Wait until it holds, for so long at most."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 the database notifies nobody
        await asyncio.sleep(1)

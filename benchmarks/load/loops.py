"""Two ways to send requests: when each is due (open), or when the one before is answered (closed)."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

from .alarm import Alarm
from .http import Pool
from .tally import Tally

SEED = 7
STEP_SECONDS = 0.02


async def open_loop(
    *, pool: Pool, tally: Tally, requests: Sequence[bytes], rate: float, seconds: float, grace: float
) -> dict[str, Any]:
    """Send at `rate` a second whatever becomes of the earlier ones, as Stripe does; then wait at most `grace` seconds.

    The gaps are random, as those between independent events are (a Poisson process), and the same in each run. Time
    counts from the moment when a request was due: a subject that answers late is not spared the requests that wait
    meanwhile.
    """
    gaps = random.Random(SEED)  # noqa: S311 no secret
    # A moment ahead, so that the first request is not late already.
    start = time.perf_counter() + 0.05
    worked = time.process_time()
    due, index = start, 0
    with Alarm() as alarm:
        while index < len(requests) and due < start + seconds:
            if due > time.perf_counter():
                await alarm.wait_until(due)
            else:
                await asyncio.sleep(0)  # answers are read meanwhile
            _send(pool, tally, requests[index], index, due)
            due += gaps.expovariate(rate)
            index += 1
    await _settle(tally, until=time.perf_counter() + grace)
    return _result(tally, start=start, worked=worked)


async def closed_loop(
    *, pool: Pool, tally: Tally, requests: Sequence[bytes], in_flight: int, seconds: float, grace: float
) -> dict[str, Any]:
    """Keep so many requests in flight for so long; then wait at most `grace` seconds for what is open."""
    start = time.perf_counter()
    worked = time.process_time()
    end = start + seconds
    indexes = iter(range(len(requests)))
    last = start
    in_time = 0

    def begin() -> None:
        nonlocal last, in_time
        now = time.perf_counter()
        index = next(indexes, -1) if now < end else -1
        if index >= 0:
            tally.begin(index, due=now)
            pool.send(requests[index], lambda status, _: finished(index, status))

    def finished(index: int, status: int) -> None:
        nonlocal last, in_time
        tally.answer(index, status)
        now = time.perf_counter()
        if now <= end:
            last = now
            in_time += status in {200, 201}
        if status == 0:
            asyncio.get_running_loop().call_later(0.05, begin)
        else:
            begin()

    for _ in range(in_flight):
        begin()
    await asyncio.sleep(seconds)
    await _settle(tally, until=time.perf_counter() + grace)
    result = _result(tally, start=start, worked=worked)
    return result | {"per_second": in_time / (last - start) if last > start else 0.0}


def _send(pool: Pool, tally: Tally, request: bytes, index: int, due: float) -> None:
    tally.begin(index, due=due)
    pool.send(request, lambda status, _: tally.answer(index, status))


async def _settle(tally: Tally, *, until: float) -> None:
    while not tally.is_complete() and time.perf_counter() < until:  # noqa: ASYNC110 an event would cost each frame
        await asyncio.sleep(STEP_SECONDS)


def _result(tally: Tally, *, start: float, worked: float) -> dict[str, Any]:
    """Add how busy this process was, as a share of one core."""
    took = time.perf_counter() - start
    return tally.summary() | {"seconds": took, "generator_share": (time.process_time() - worked) / took}

"""The process itself: a command a line on standard input, as JSON; an answer a line on standard output."""

import asyncio
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import uvloop

from benchmarks.rides import Ride, ride

from . import requests as build
from .http import Pool
from .loops import closed_loop, open_loop
from .riders import Riders
from .storm import Storm
from .tally import Tally

HOST = "127.0.0.1"


class Load:
    """The commands of the process; the keys of a command are the arguments here."""

    def __init__(self) -> None:
        self._requests: list[bytes] = []
        self._first = 0
        self._kind = b""
        self._pool: Pool | None = None

    async def aim(self, *, port: int, secret: str, api_key: str, token_secret: str) -> None:
        """Name the server that all is sent to from now on."""
        self._port, self._secret, self._api_key = port, secret, api_key
        self._riders = Riders(host=HOST, port=port, token_secret=token_secret)

    async def connect(self, *, seconds: float = 30, **arguments: Any) -> dict[str, Any]:
        return await self._riders.connect(seconds=seconds, **arguments)

    async def disconnect(self) -> None:
        await self._riders.disconnect()

    async def build_webhooks(self, *, first: int, count: int) -> None:
        """Sign so many webhooks ahead."""
        self._build(
            first, count, b'"succeeded"', lambda r: build.webhook(r, secret=self._secret, port=self._port)
        )

    async def build_payments(self, *, first: int, count: int) -> None:
        self._build(
            first, count, b'"payment_url"', lambda r: build.payment(r, api_key=self._api_key, port=self._port)
        )

    async def open_loop(
        self, *, rate: float, seconds: float, connections: int = 64, grace: float = 3
    ) -> dict[str, Any]:
        pool, tally = await self._begin(connections)
        try:
            return await open_loop(
                pool=pool, tally=tally, requests=self._requests, rate=rate, seconds=seconds, grace=grace
            )
        finally:
            pool.close()

    async def closed_loop(self, *, in_flight: int, seconds: float, grace: float = 3) -> dict[str, Any]:
        pool, tally = await self._begin(in_flight)
        try:
            return await closed_loop(
                pool=pool,
                tally=tally,
                requests=self._requests,
                in_flight=in_flight,
                seconds=seconds,
                grace=grace,
            )
        finally:
            pool.close()

    async def storm(
        self, *, pid: int, rate: float, count: int, seconds: float, connections: int = 64
    ) -> dict[str, Any]:
        """Kill a worker, and see how long it takes until all is well again."""
        pool, tally = await self._begin(connections)
        try:
            return await Storm(riders=self._riders, pool=pool, tally=tally, requests=self._requests).run(
                pid=pid, rate=rate, count=count, seconds=seconds
            )
        finally:
            pool.close()

    def _build(self, first: int, count: int, kind: bytes, request: Callable[[Ride], bytes]) -> None:
        users = self._riders.users
        self._first, self._kind = first, kind
        self._requests = [request(ride(number, users=users)) for number in range(first, first + count)]

    async def open(self, *, connections: int) -> None:
        """Open the connections of the next load, so that what this costs the subject is not counted as the load's."""
        self._pool = await self._opened(connections)

    async def _opened(self, connections: int) -> Pool:
        pool = Pool(host=HOST, port=self._port)
        await pool.open(connections)
        return pool

    async def _begin(self, connections: int) -> tuple[Pool, Tally]:
        pool = self._pool or await self._opened(connections)
        self._pool = None
        tally = Tally(first=self._first, count=len(self._requests), kind=self._kind, each=self._riders.each)
        self._riders.tally = tally
        return pool, tally


async def main() -> None:
    load = Load()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        try:
            answer = {"result": await getattr(load, command.pop("do"))(**command)}
        except Exception:  # noqa: BLE001 whoever asked gets it
            answer = {"error": traceback.format_exc()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())

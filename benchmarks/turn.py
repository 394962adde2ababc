"""One turn of one subject: started, warmed up, put through the scenarios, ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .costs import PARTS
from .load.client import Generator
from .rides import ride
from .services import Services
from .subjects import API_KEY, TOKEN_SECRET, WEBHOOK_SECRET, Subject
from .workers import Workers

WARM_CONNECTIONS = 20
WARM_WEBHOOKS = 60
SETTLE_SECONDS = 1.0
CONNECTIONS = {"open_loop": 64, "closed_loop": 24, "storm": 64}
"""Of the generator's loads: how many HTTP connections each uses, unless a scenario says it."""


@dataclass(kw_only=True)
class Turn:
    """What scenarios are given: the subject, its workers and services, and the generator aimed at them."""

    subject: Subject
    services: Services
    workers: Workers
    generator: Generator
    users: int
    seconds: float
    _next: int = field(default=0)

    def webhooks(self, count: int, *, align: bool = False) -> None:
        """Make payments and their signed webhooks, ready to be sent by the next loop.

        `align`: the first is for the first user.
        """
        if align:
            # A ride's user follows from its number, so go on to the next number of the first user.
            self._next += -self._next % self.users
        self.subject.add_payments(ride(number, users=self.users) for number in self._numbers(count))
        self.generator("build_webhooks", first=self._next - count, count=count)

    def payments(self, count: int) -> None:
        """Make requests for payments, ready to be sent by the next loop."""
        self._numbers(count)
        self.generator("build_payments", first=self._next - count, count=count)

    def connect(self, count: int, *, each: int = 1) -> dict[str, Any]:
        """Connect so many users, with `each` connections."""
        self.users = count
        answer: dict[str, Any] = self.generator("connect", count=count, each=each)
        return answer

    def settled_memory(self) -> float:
        """Return the workers' memory in KiB, once what was only for the moment is gone."""
        time.sleep(SETTLE_SECONDS)
        return self.workers.memory_kib()

    def measured(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Let the generator do something; add what was used meanwhile, see `used`."""
        # Before the first reading: what opening them costs the subject is not the load's.
        if connections := CONNECTIONS.get(do):
            self.generator("open", connections=arguments.get("in_flight", connections))
        before = self.used()
        result: dict[str, Any] = self.generator(do, **arguments)
        after = self.used()
        return result | {name: after[name] - before[name] for name in before}

    def used(self) -> dict[str, float]:
        """Return the CPU seconds of the workers, of PostgreSQL and of Valkey so far, and PostgreSQL's log in bytes."""
        return {"cpu_seconds": self.workers.cpu_seconds()} | self.services.used()

    def idle_share(self, *, seconds: float) -> float:
        """Return the CPU of the whole machine while nothing is asked of it, as a share of one core."""
        before = self.used()
        time.sleep(seconds)
        after = self.used()
        return sum(after[name] - before[name] for name in PARTS.values()) / seconds

    def warm_up(self) -> None:
        """Let every worker load what it loads on first use."""
        self.connect(WARM_CONNECTIONS)
        self.webhooks(WARM_WEBHOOKS)
        self.generator("closed_loop", in_flight=8, seconds=5)
        self.generator("disconnect")
        time.sleep(SETTLE_SECONDS)

    def _numbers(self, count: int) -> range:
        numbers = range(self._next, self._next + count)
        self._next += count
        return numbers


def take_turn(
    *,
    subject: Subject,
    services: Services,
    generator: Generator,
    port: int,
    count: int,
    seconds: float,
    scenarios: Callable[[Turn], dict[str, Any]],
) -> dict[str, Any]:
    """Return what the scenarios found out."""
    subject.start_anew()
    with Workers(
        command=subject.command,
        folder=subject.folder,
        environment=subject.environment,
        port=port,
        count=count,
    ) as workers:
        generator(
            "aim",
            port=port,
            secret=WEBHOOK_SECRET,
            api_key=API_KEY,
            token_secret=TOKEN_SECRET,
        )
        turn = Turn(
            subject=subject,
            services=services,
            workers=workers,
            generator=generator,
            users=WARM_CONNECTIONS,
            seconds=seconds,
        )
        turn.warm_up()
        try:
            return scenarios(turn)
        finally:
            generator("disconnect")

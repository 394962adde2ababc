"""Everything that a run decides by chance, drawn before it starts: the same seed makes the same plan."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.chaos.model import SCENARIOS, Scenario

ROLLING_RESTART = "workers restarted one at a time"
FAULTS = (
    "worker killed",
    "worker stands still",
    ROLLING_RESTART,
    "Valkey restarted",
    "Valkey in a black hole",
    "Valkey's connections dead",
    "PostgreSQL restarted",
    "PostgreSQL in a black hole",
    "PostgreSQL cut off",
    "clients stop reading",
)
SECONDS_A_FAULT = 8.0
"""A fault and what it takes to recover from it; a run that is too short for all of them has less for each."""
SECONDS_A_ROLLING_RESTART = 10.0
"""Two workers, each of which lets its clients go before it ends: this takes its time also in a short run."""
HOLD_SECONDS = 4.0
"""How long a fault lasts that has a duration."""
QUIET_SHARE = 0.1
"""At the end of a run nothing happens but lost publishes: a reconnect would bring what they held."""

HABITS = {
    "stays": 55,
    "comes and goes": 15,
    "loses its network": 12,
    "stalls": 10,
    "breaks off": 5,
    "flaps": 3,
}
"""What clients do by themselves, and how many of a hundred do so: see clients.py."""
SECOND_TABS = 0.1


@dataclass(frozen=True)
class PlannedPayment:
    """`at` and `pause` are seconds: from the start of the run, and between two steps."""

    at: float
    user_id: str
    ride_id: str
    scenario: Scenario
    pause: float
    shuffled: bool
    seed: str


@dataclass(frozen=True)
class PlannedClient:
    name: str
    user_id: str
    resumes: bool
    habit: str
    seed: str


@dataclass(frozen=True)
class PlannedFault:
    """`at` and `hold` are seconds: from the start of the run, and between its start and its end."""

    at: float
    kind: str
    hold: float
    seed: str


@dataclass(frozen=True)
class Plan:
    seed: int
    seconds: float
    payments: tuple[PlannedPayment, ...]
    clients: tuple[PlannedClient, ...]
    faults: tuple[PlannedFault, ...]


def make_plan(*, seed: int, seconds: float, clients: int, rate: float) -> Plan:
    """Return the plan of a run with so many clients of each kind and so many payments a second."""
    people = tuple(_clients(seed=seed, count=clients))
    users = sorted({client.user_id for client in people})
    return Plan(
        seed=seed,
        seconds=seconds,
        payments=tuple(_payments(seed=seed, seconds=seconds, rate=rate, users=users)),
        clients=people,
        faults=tuple(_faults(seed=seed, seconds=seconds)),
    )


def _payments(*, seed: int, seconds: float, rate: float, users: list[str]) -> Iterator[PlannedPayment]:
    # A generator for each part: a change of one part leaves the plan of the others as it was.
    rng = Random(f"{seed} payments")
    weights = [scenario.weight for scenario in SCENARIOS]
    for number in range(round(seconds * rate)):
        yield PlannedPayment(
            at=(number + rng.random()) / rate,
            user_id=rng.choice(users),
            ride_id=f"ride-{number}",
            scenario=rng.choices(SCENARIOS, weights)[0],
            pause=rng.uniform(0.1, 2.0),
            shuffled=rng.random() < 0.3,
            seed=f"{seed} payment {number}",
        )


def _clients(*, seed: int, count: int) -> Iterator[PlannedClient]:
    """The last clients of each kind are second tabs of the first users."""
    rng = Random(f"{seed} clients")
    people = count - round(count * SECOND_TABS)
    for kind in ("resumable", "plain"):
        for number in range(count):
            name = f"{kind}-{number}"
            yield PlannedClient(
                name=name,
                user_id=f"{kind}-{number % people}",
                resumes=kind == "resumable",
                habit=rng.choices(list(HABITS), list(HABITS.values()))[0],
                seed=f"{seed} {name}",
            )


def _faults(*, seed: int, seconds: float) -> Iterator[PlannedFault]:
    """Every kind comes once before any comes again."""
    rng = Random(f"{seed} faults")
    busy = seconds * (1 - QUIET_SHARE)
    kinds = rng.sample(FAULTS, len(FAULTS))
    while len(kinds) < int(busy / SECONDS_A_FAULT):
        kinds += rng.sample(FAULTS, len(FAULTS))
    kinds = kinds[: max(len(FAULTS), int(busy / SECONDS_A_FAULT))]
    rolling = kinds.count(ROLLING_RESTART)
    slot = (busy - rolling * SECONDS_A_ROLLING_RESTART) / (len(kinds) - rolling)
    begins = 0.0
    for number, kind in enumerate(kinds):
        yield PlannedFault(
            at=begins + slot * rng.uniform(0.1, 0.3),
            kind=kind,
            hold=min(HOLD_SECONDS, slot / 2),
            seed=f"{seed} fault {number}",
        )
        begins += SECONDS_A_ROLLING_RESTART if kind == ROLLING_RESTART else slot

"""Ride number N: the same ids wherever they are asked for, so that nothing has to be passed around."""

import hashlib
import uuid
from dataclasses import dataclass

AMOUNT = 1500
CURRENCY = "usd"


@dataclass(frozen=True, slots=True)
class Ride:
    """A ride, its payment and its rider."""

    number: int
    payment_id: uuid.UUID
    session_id: str
    user_id: str

    @property
    def ride_id(self) -> str:
        return f"ride-{self.number}"


def ride(number: int, *, users: int) -> Ride:
    """Return a ride; its rider is one of `users`. The ids are as random to a database as real ones."""
    digest = hashlib.md5(str(number).encode(), usedforsecurity=False)
    return Ride(
        number=number,
        payment_id=uuid.UUID(bytes=digest.digest(), version=4),
        session_id=f"cs_test_{digest.hexdigest()}",
        user_id=user_id(number % users),
    )


def user_id(number: int) -> str:
    return f"user-{number}"


def number_in(frame: bytes) -> int:
    """Return the number of the ride that a frame names, or -1; spaces after the colon are the sender's choice."""
    key = frame.find(b'"rideId"')
    if key < 0:
        return -1
    start = frame.index(b'"ride-', key + 8) + 6
    return int(frame[start : frame.index(b'"', start)])

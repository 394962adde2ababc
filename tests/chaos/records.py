"""What a run writes down, and what it reads from the database afterwards. Times are seconds since 1970."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]


@dataclass(frozen=True)
class Notification:
    """A row of the feed: the truth. `at` is when it was made, a moment before its commit."""

    user_id: str
    seq: int
    subject: str
    frame: Frame
    at: float


@dataclass(frozen=True)
class Receipt:
    """A notification as a client got it. `connection` counts the client's connections."""

    at: float
    connection: int
    frame: Frame
    seq: int | None = None


@dataclass
class Connection:
    """One registered connection; `ended` is None while it lives.

    `clean` says that the client closed it as the protocol asks for.
    """

    opened: float
    ended: float | None = None
    clean: bool = False


@dataclass
class ClientRecord:
    """What one client saw.

    It did not listen, of its own will, while it was `away`, or connected but `stalled`: (from, until). `failures` are
    attempts to connect or to register that came to nothing.
    """

    name: str
    user_id: str
    resumes: bool
    receipts: list[Receipt] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    away: list[tuple[float, float]] = field(default_factory=list)
    stalled: list[tuple[float, float]] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)
    refused: int = 0


@dataclass
class FaultRecord:
    """`ended` is when what was broken was whole again."""

    kind: str
    began: float
    ended: float


@dataclass(frozen=True)
class Made:
    """A payment that the stream made, and the status in which the model says that it ends."""

    payment_id: str
    user_id: str
    scenario: str
    final: str


@dataclass(frozen=True)
class Truth:
    """What the database says at the end: every user's notifications in order, and the payments' statuses."""

    notifications: dict[str, list[Notification]]
    statuses: dict[str, str]


def key(frame: Frame) -> str:
    """Return what distinguishes two frames."""
    return json.dumps(frame, sort_keys=True)


def by_subject(feed: Iterable[Notification]) -> dict[str, list[Notification]]:
    subjects: dict[str, list[Notification]] = defaultdict(list)
    for notification in feed:
        subjects[notification.subject].append(notification)
    return subjects


def says(frame: Frame) -> str:
    """Return what a frame says, without its link."""
    return f"{frame.get('type')} {frame.get('rideId')} {frame.get('status')}"

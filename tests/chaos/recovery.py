"""How long it took after each fault until everything was where it belongs."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.chaos.records import ClientRecord, FaultRecord, Notification, Receipt, Truth, by_subject, key

AFTER_SECONDS = 5.0
"""What was committed until then after a fault, and before the next, is counted as hit by it."""


@dataclass
class Recovery:
    """All faults of a kind; `slowest` in seconds, None where nothing was hit."""

    faults: int = 0
    hit: int = 0
    slowest: float | None = None


def recoveries(
    *, faults: Sequence[FaultRecord], truth: Truth, clients: Iterable[ClientRecord]
) -> dict[str, Recovery]:
    """Return for each kind of fault how long a client waited at most for what was committed during it or right after.

    The wait counts from when the notification could be delivered, which is when it is committed, the fault is over,
    and the client wants to be there.
    """
    found: dict[str, Recovery] = defaultdict(Recovery)
    arrivals = list(_arrivals(truth, clients))
    for fault, next_began in zip(faults, [*(fault.began for fault in faults[1:]), math.inf], strict=True):
        until = min(fault.ended + AFTER_SECONDS, next_began)
        recovery = found[fault.kind]
        recovery.faults += 1
        for notification, firsts in arrivals:
            if fault.began <= notification.at <= until:
                possible = max(notification.at, fault.ended)
                wait = min(
                    receipt.at - max(possible, _came_back(client, receipt)) for client, receipt in firsts
                )
                recovery.hit += 1
                recovery.slowest = max(recovery.slowest or 0.0, wait)
    return dict(found)


def _came_back(client: ClientRecord, receipt: Receipt) -> float:
    """Return when the client that got this had last been away, or stalled, of its own will."""
    return max((until for since, until in client.away + client.stalled if since < receipt.at), default=0.0)


Arrival = tuple[Notification, list[tuple[ClientRecord, Receipt]]]


def _arrivals(truth: Truth, clients: Iterable[ClientRecord]) -> Iterable[Arrival]:
    """Pair each notification with where it first got to: to each client that resumes; to plain clients of a user once.

    A plain client may have got a later one of the payment in its place.
    """
    tabs: dict[str, list[ClientRecord]] = defaultdict(list)
    for client in clients:
        if client.resumes:
            numbered = {receipt.seq: receipt for receipt in reversed(client.receipts)}
            feed = truth.notifications.get(client.user_id, [])
            yield from ((n, [(client, numbered[n.seq])]) for n in feed if n.seq in numbered)
        else:
            tabs[client.user_id].append(client)
    for user_id, records in tabs.items():
        yield from _shown(truth.notifications.get(user_id, []), records)


def _shown(feed: list[Notification], tabs: list[ClientRecord]) -> Iterable[Arrival]:
    for notifications in by_subject(feed).values():
        for place, notification in enumerate(notifications):
            said = {key(later.frame) for later in notifications[place:]}
            ride_id = notification.frame["rideId"]
            firsts = [(tab, _first(tab, ride_id, said, notification.at)) for tab in tabs]
            found = [(tab, receipt) for tab, receipt in firsts if receipt]
            if found:
                yield notification, found


def _first(tab: ClientRecord, ride_id: str, said: set[str], since: float) -> Receipt | None:
    for receipt in tab.receipts:
        if receipt.at >= since and receipt.frame["rideId"] == ride_id and key(receipt.frame) in said:
            return receipt
    return None

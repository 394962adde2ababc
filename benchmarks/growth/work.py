"""What the service asks its database for, by the service's own functions: each time of other users and payments."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.utils import timezone

from benchmarks.growth.plans import ROWS_MAX
from benchmarks.growth.sample import Sample
from notifications import feed, installation
from notifications import retention as notifications_retention
from notifications.delivery import history
from notifications.delivery.receipts import UptimeClock
from notifications.delivery.reconciler import Reconciler
from notifications.delivery.states import FeedState
from payments.reconciliation import incomplete, missing_events, stale_payments
from payments.webhooks import ingest, known, parked, replay, signatures
from payments.webhooks import retention as events_retention

PAGE_SIZE = 100
FRAME = {
    "type": "payment_status_update",
    "rideId": "ride_1",
    "status": "succeeded",
    "stripeSessionId": "cs_1",
}


@dataclass(frozen=True, kw_only=True)
class Work:
    """Something that is asked for, `times` times: `draw` says of what, and is not timed, `do` asks.

    `rows_max` is how many rows one statement of it may read.
    """

    name: str
    do: Callable[[Any], object]
    draw: Callable[[], Any] = field(default=lambda: None)
    times: int = 200
    rows_max: int = ROWS_MAX


def sockets(sample: Sample) -> Iterator[Work]:
    """What connections ask for, and the notifications they get."""
    epoch = installation.read().epoch
    yield Work(
        name="history.read_states of one user",
        draw=sample.user,
        do=lambda user_id: history.read_states(user_ids=[user_id]),
    )
    yield Work(
        name="history.read_after, the newest 5",
        draw=sample.feed,
        do=lambda row: history.read_after(
            user_id=row.user_id, seq=row.last_seq - 5, limit=PAGE_SIZE, epoch=epoch
        ),
    )
    yield Work(
        name="history.read_after, 100 of 5,000",
        draw=sample.long_feed,
        do=lambda row: history.read_after(user_id=row.user_id, seq=2500, limit=PAGE_SIZE, epoch=epoch),
    )
    yield Work(
        name="history.redeliver, up to 3 unconfirmed",
        draw=sample.feed,
        do=lambda row: history.redeliver(
            user_id=row.user_id, after=row.confirmed_seq, up_to=row.last_seq, limit=PAGE_SIZE, epoch=epoch
        ),
    )
    yield Work(
        name="history.redeliver, 5,000 unconfirmed",
        draw=sample.long_feed,
        do=lambda row: history.redeliver(
            user_id=row.user_id, after=0, up_to=row.last_seq, limit=PAGE_SIZE, epoch=epoch
        ),
        times=20,
    )
    yield Work(
        name="history.read_after, 100 of 100,000",
        draw=sample.longest_feed,
        do=lambda row: history.read_after(user_id=row.user_id, seq=50_000, limit=PAGE_SIZE, epoch=epoch),
    )
    yield Work(
        name="history.redeliver, 100,000 unconfirmed",
        draw=sample.longest_feed,
        do=lambda row: history.redeliver(
            user_id=row.user_id, after=0, up_to=row.last_seq, limit=PAGE_SIZE, epoch=epoch
        ),
        times=5,
        rows_max=200_000,  # which of them are the newest of their payments is seen by reading them
    )
    yield Work(
        name="history.read_rows of 500 users",
        draw=lambda: sample.users(500),
        do=lambda user_ids: history.read_rows(user_ids=user_ids),
    )
    yield Work(
        name="the reconciler's round, 1,000 connections",
        draw=lambda: sample.users(1000),
        do=lambda user_ids: asyncio.run(_compare(user_ids)),
    )
    yield Work(name="feed.notify and its commit", draw=sample.user, do=_notify)


def events(sample: Sample) -> Iterator[Work]:
    """What webhooks ask for."""
    yield Work(
        name="look_up, a session",
        draw=sample.named_by_session,
        do=lambda rows: known.look_up(rows, lock=False),
    )
    yield Work(
        name="look_up, an intent",
        draw=sample.named_by_intent,
        do=lambda rows: known.look_up(rows, lock=False),
    )
    yield Work(
        name="ingest, a payment is paid",
        draw=sample.paid_now,
        do=lambda sent: ingest.ingest([ingest.receive(body=sent[0], signature=signatures.read(sent[1]))]),
    )


def schedule(sample: Sample) -> Iterator[Work]:
    """What the commands that run on a schedule ask for, and staff who replay."""
    hour_ago = timezone.now() - timedelta(hours=1)
    due = stale_payments.open_payments(checked_before=hour_ago)
    yield Work(name="missed.since_last_fetch", do=lambda _: missing_events.since_last_fetch())
    yield Work(
        name="webhooks.no_longer_waiting",
        do=lambda _: parked.no_longer_waiting(),
        times=20,
    )
    yield Work(
        name="overdue.open_payments, which",
        do=lambda _: list(due.values_list("pk", flat=True)),
        times=20,
        rows_max=1_000_000,  # they are the answer
    )
    yield Work(
        name="unfinished.payments, which",
        do=lambda _: list(incomplete.payments().values_list("pk", flat=True)),
        times=20,
    )
    yield Work(
        name="unfinished.refund_requests, which",
        do=lambda _: list(incomplete.refund_requests().values_list("pk", flat=True)),
        times=20,
    )
    yield Work(
        name="replay.select, failed",
        do=lambda _: replay.select(replay.Selection(failed=True)),
        times=20,
    )
    yield Work(
        name="replay.select, a user's",
        draw=sample.user,
        do=lambda user_id: replay.select(replay.Selection(user_id=user_id)),
        times=20,
    )
    yield Work(
        name="prune, a batch of notifications",
        do=lambda _: next(notifications_retention.prune(days=30, dry_run=True)),
        times=20,
        rows_max=1_000_000,  # of each feed all that is old, which a run that removes it meets once
    )
    yield Work(
        name="prune, a batch of events",
        do=lambda _: next(events_retention.prune(days=30, dry_run=True)),
        times=20,
    )


class _Connection:
    """A connection of which the reconciler knows whose it is. There is nobody to send to."""

    cursor = SimpleNamespace(seq=0)
    epoch = ""
    is_live = True

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id

    def compare(self, state: FeedState, *, sent: int) -> None:
        pass


async def _compare(user_ids: list[str]) -> None:
    groups: Any = {user_id: {_Connection(user_id)} for user_id in user_ids}
    _Connection.epoch = (await sync_to_async(installation.read)()).epoch
    await Reconciler(read_groups=lambda: groups, clock=UptimeClock()).compare(list(groups))


def _notify(user_id: str) -> None:
    with transaction.atomic():
        feed.notify(user_id=user_id, frame=FRAME, collapse_key="payment:1", expires_at=None)

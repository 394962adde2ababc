"""Remove old notifications from the beginning of each feed, never from the middle."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone

from notifications.models import Feed, Notification

DAYS_DEFAULT = 30
DAYS_LEAST = 7
"""A status update is redelivered to a plain client for this long."""

BATCH_SIZE = 1000
"""Notifications in one transaction, so that its locks are short."""


def prune(*, days: int, dry_run: bool = False) -> Iterator[int]:
    """Remove notifications older than `days` days, batch by batch; yield how many each batch removed, or would remove.

    A feed's row stays, so that its numbers go on. Notifications are removed from a feed's beginning, up to the first
    one that has to stay: the oldest number shows whether a resuming client has missed what is gone. A notification has
    to stay while it is not old enough, or while it may be redelivered: neither confirmed nor expired.

    Rows are read in the order of their ids, the oldest first, which needs no index of its own. Within a feed that is
    the order of the numbers, since a notification gets its id while its feed is locked. So processes that prune at the
    same time remove the numbers in order, and wait for each other. Raises ValueError for fewer than DAYS_LEAST.
    """
    if days < DAYS_LEAST:
        raise ValueError(f"Notifications are kept for {DAYS_LEAST} days at least, not {days}.")
    now = timezone.now()
    before = now - timedelta(days=days)
    last = 0
    by_age = Notification.objects.order_by("pk").values_list("pk", "feed_id", "seq", "created_at", named=True)
    while rows := list(by_age.filter(pk__gt=last)[:BATCH_SIZE]):
        old = [row for row in rows if row.created_at < before]
        if not old:
            return
        last = rows[-1].pk
        stays = _first_that_stays({row.feed_id for row in old}, before=before, now=now)
        # A hole in the middle would let a resuming client believe that it has everything.
        removable = [row.pk for row in old if (first := stays[row.feed_id]) is None or row.seq < first]
        yield len(removable) if dry_run else _remove(removable)


def _first_that_stays(feed_ids: set[int], *, before: datetime, now: datetime) -> dict[int, int | None]:
    """Return the first number of each feed that has to stay; None if there is none."""
    wanted = Q(seq__gt=F("feed__confirmed_seq")) & (Q(expires_at=None) | Q(expires_at__gt=now))
    staying = Notification.objects.filter(wanted | Q(created_at__gte=before), feed=OuterRef("pk"))
    first = Subquery(staying.order_by("seq").values("seq")[:1])
    return dict(Feed.objects.filter(pk__in=feed_ids).values_list("pk", first))


def _remove(pks: Sequence[int]) -> int:
    """Remove rows. Lock them in one order, so that two processes cannot deadlock."""
    with transaction.atomic():
        rows = Notification.objects.filter(pk__in=pks)
        # While it waits for the locks another process may remove some of the rows: only those that are left come back.
        locked = list(rows.select_for_update().order_by("pk").values_list("pk", flat=True))
        number, _ = Notification.objects.filter(pk__in=locked).delete()
    return number

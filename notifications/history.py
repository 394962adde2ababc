"""What a feed holds: the reads that bring notifications out again, and the marks of how far they have got."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import orjson
from django.db import connection, transaction
from django.db.models import Case, F, Max, OuterRef, Q, Subquery, When, Window
from django.utils import timezone

from notifications import installation
from notifications.models import Feed, Notification

# All users are one parameter: Django would build and adapt one for each, four times the work, each second.
_HEADS = "SELECT user_id, last_seq, latest_connection FROM notifications_feed WHERE user_id = ANY (%s)"
_HEADS_ON_SQLITE = """
    SELECT user_id, last_seq, latest_connection FROM notifications_feed
    WHERE user_id IN (SELECT value FROM json_each(%s))
"""

REDELIVERIES_MAX = 10
"""How many times a notification is redelivered to plain clients. After that many registrations it has been seen, even
if no connection lived long enough to confirm it."""


class FeedState(NamedTuple):
    """How far a feed goes: its newest number, the oldest that is kept, and up to where a plain client has got all.

    `epoch` is that of its numbers, and `is_first_epoch` says whether there was none before it. A user without feed is
    at 0.
    """

    newest: int
    oldest: int | None
    confirmed: int
    epoch: str
    is_first_epoch: bool

    def can_resume(self, seq: int, *, epoch: str | None) -> bool:
        """Tell whether a client that has got this number can be sent all that came after it.

        `epoch` is that of the number, None where the client does not say. Then it may be of any that there was; only
        0, which says that the client has got nothing, means the same in all.
        """
        is_known = self.is_first_epoch or seq == 0 if epoch is None else epoch == self.epoch
        return is_known and self.is_kept_after(seq)

    def is_kept_after(self, seq: int) -> bool:
        """Tell whether everything after this number is there to be read."""
        if seq >= self.newest:
            return seq == self.newest
        return self.oldest is not None and self.oldest <= seq + 1


class FeedHead(NamedTuple):
    """A feed's newest number, and the connection that registered last with NOTIFICATIONS_CONNECTIONS=latest."""

    newest: int
    latest_connection: str


def read_after(*, user_id: str, seq: int, limit: int) -> list[tuple[int, str]]:
    """Return numbers and frames of the notifications after `seq`, in order, at most `limit`."""
    rows = Notification.objects.filter(feed__user_id=user_id, seq__gt=seq).order_by("seq")
    return list(rows.values_list("seq", "frame")[:limit])


def read_states(*, user_ids: Collection[str]) -> dict[str, FeedState]:
    """Return how far the feed of each of these users goes, by user id."""
    _, epoch, is_first = installation.read()  # before the numbers: one that ends in between is noticed soon
    oldest = Notification.objects.filter(feed=OuterRef("pk")).order_by("seq").values("seq")[:1]
    feeds = Feed.objects.filter(user_id__in=user_ids).order_by()
    rows = feeds.values_list("user_id", "last_seq", Subquery(oldest), "confirmed_seq")
    found = {
        user_id: FeedState(newest, first, confirmed, epoch, is_first)
        for user_id, newest, first, confirmed in rows
    }
    return dict.fromkeys(user_ids, FeedState(0, None, 0, epoch, is_first)) | found


def redeliver(*, user_id: str, after: int, up_to: int, limit: int) -> list[tuple[int, str]]:
    """Return what a plain client is sent of the notifications after `after` and up to `up_to`, in order.

    These are numbers and frames of at most `limit` notifications: of each collapse key the newest, unless it has
    expired or was offered REDELIVERIES_MAX times before. That they are offered once more is written down.
    """
    is_news = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    is_newest = Q(seq=Window(Max("seq"), partition_by="collapse_key"))
    unconfirmed = Notification.objects.filter(feed__user_id=user_id, seq__gt=after, seq__lte=up_to)
    # All is judged in one go after the window: conditions of their own would take rows away from it, and a subquery
    # for the newest would be carried out for each row.
    wanted = unconfirmed.filter(
        Case(When(is_newest & is_news & Q(offers__lt=REDELIVERIES_MAX), then=True), default=False)
    )
    rows = list(wanted.order_by("seq").values_list("pk", "seq", "frame")[:limit])
    if rows:
        Notification.objects.filter(pk__in=[pk for pk, *_ in rows]).update(offers=F("offers") + 1)
    return [(seq, frame) for _, seq, frame in rows]


def confirm(numbers: Mapping[str, int], *, epoch: str) -> set[str]:
    """Note for each user the number up to which a plain client has got everything, in this epoch.

    Numbers of an epoch that has ended, and those that a feed has not given yet, say nothing of what has these numbers
    now, or will have. A feed that somebody is writing to is left out rather than waited for: its user is returned.
    """
    if epoch != installation.read().epoch:
        return set()
    with transaction.atomic():
        feeds = Feed.objects.select_for_update(skip_locked=True, no_key=True).filter(user_id__in=numbers)
        found = {feed.user_id: feed for feed in feeds}
        ahead = [
            feed for feed in found.values() if feed.confirmed_seq < numbers[feed.user_id] <= feed.last_seq
        ]
        now = timezone.now()
        for feed in ahead:
            feed.confirmed_seq, feed.confirmed_at = numbers[feed.user_id], now
        Feed.objects.bulk_update(ahead, ["confirmed_seq", "confirmed_at"])
    return numbers.keys() - found.keys()


def read_truth(*, user_ids: Sequence[str]) -> tuple[str, dict[str, FeedHead]]:
    """Return the epoch of the numbers, and the head of each of these users' feeds."""
    epoch = installation.read().epoch
    return epoch, dict.fromkeys(user_ids, FeedHead(0, "")) | read_heads(user_ids=user_ids)


def read_heads(*, user_ids: Sequence[str]) -> dict[str, FeedHead]:
    """Return the heads of these users' feeds, by user id. Who has no feed is left out."""
    ids = list(user_ids)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_HEADS, [ids])
        else:
            cursor.execute(_HEADS_ON_SQLITE, [orjson.dumps(ids).decode()])
        return {user_id: FeedHead(newest, latest) for user_id, newest, latest in cursor.fetchall()}


def set_latest_connection(*, user_id: str, connection_id: str) -> None:
    """Make this connection the one of the user that is served, for NOTIFICATIONS_CONNECTIONS=latest."""
    Feed.objects.bulk_create(
        [Feed(user_id=user_id, latest_connection=connection_id)],
        update_conflicts=True,
        unique_fields=["user_id"],
        update_fields=["latest_connection"],
    )

"""Read feeds for connections, and store how far their clients have confirmed them."""

from collections.abc import Collection, Iterable, Mapping

import orjson
from django.db import OperationalError, connection, transaction
from django.db.models import Case, F, Max, OuterRef, Q, Subquery, TextField, When, Window
from django.db.models.expressions import RawSQL
from django.utils import timezone

from notifications import installation, timeline
from notifications.delivery.states import FeedState
from notifications.models import Feed, Notification

# All users are one parameter: Django's ORM would build one for each, four times the work, each second.
_ROWS = """
    SELECT user_id, last_seq, confirmed_seq, disconnects, latest_connection FROM notifications_feed
    WHERE user_id = ANY (%s)
"""
_ROWS_ON_SQLITE = """
    SELECT user_id, last_seq, confirmed_seq, disconnects, latest_connection FROM notifications_feed
    WHERE user_id IN (SELECT value FROM json_each(%s))
"""

REDELIVERIES_MAX = 10
"""A notification is redelivered this many times to plain clients. After that many registrations it has been seen, even
if no connection lived long enough to confirm it."""


class EpochEndedError(OperationalError):
    """The database's numbers are of another epoch than the connection's."""

    def __init__(self) -> None:
        super().__init__("The feeds' numbers have another epoch by now.")


def read_after(*, user_id: str, seq: int, limit: int, epoch: str) -> list[tuple[int, str]]:
    """Return numbers and frames of the notifications after `seq`, in order, at most `limit`.

    Raises EpochEndedError if `epoch` is not the epoch of these numbers.
    """
    # With a join PostgreSQL would sort all that is left of the feed for each page of it.
    feed = Feed.objects.filter(user_id=user_id).order_by().values("pk")[:1]
    rows = Notification.objects.filter(feed=feed, seq__gt=seq).order_by("seq")
    # The mark is in the same statement: read by itself, it could be of another server than the numbers.
    return _of_epoch(epoch, rows.annotate(mark=_mark()).values_list("seq", "frame", "mark")[:limit])


def read_states(*, user_ids: Collection[str]) -> dict[str, FeedState]:
    """Return the feed state of each of these users, by user id."""
    _, epoch, is_first = installation.read()  # before the numbers: a later change is noticed soon
    oldest = Notification.objects.filter(feed=OuterRef("pk")).order_by("seq").values("seq")[:1]
    feeds = Feed.objects.filter(user_id__in=user_ids).order_by()
    columns = ("last_seq", Subquery(oldest), "confirmed_seq", "disconnects", "latest_connection")
    found = {
        user_id: FeedState(newest, first, confirmed, epoch, is_first, *others)
        for user_id, newest, first, confirmed, *others in feeds.values_list("user_id", *columns)
    }
    return dict.fromkeys(user_ids, FeedState(0, None, 0, epoch, is_first)) | found


def redeliver(*, user_id: str, after: int, up_to: int, limit: int, epoch: str) -> list[tuple[int, str]]:
    """Return what a plain client is sent again after `after` and up to `up_to`, in order, and count the redelivery.

    These are numbers and frames of at most `limit` notifications: the newest of each collapse key, unless it has
    expired or was redelivered REDELIVERIES_MAX times before. Raises EpochEndedError as `read_after` does.
    """
    is_news = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    is_newest = Q(seq=Window(Max("seq"), partition_by="collapse_key"))
    unconfirmed = Notification.objects.filter(feed__user_id=user_id, seq__gt=after, seq__lte=up_to)
    # One CASE holds all conditions: a WHERE beside the window would remove rows from it, and a subquery for the newest
    # would run for each row.
    wanted = unconfirmed.filter(
        Case(When(is_newest & is_news & Q(redeliveries__lt=REDELIVERIES_MAX), then=True), default=False)
    )
    found = wanted.order_by("seq").annotate(mark=_mark()).values_list("seq", "frame", "mark", "pk")
    rows = list(found[:limit])
    frames = _of_epoch(epoch, (row[:3] for row in rows))  # first: what is not sent does not count
    if rows:
        Notification.objects.filter(pk__in=[row[3] for row in rows]).update(
            redeliveries=F("redeliveries") + 1
        )
    return frames


def _mark() -> RawSQL:
    return RawSQL(timeline.mark(), (), output_field=TextField())  # noqa: S611 made of constants


def _of_epoch(epoch: str, rows: Iterable[tuple[int, str, str]]) -> list[tuple[int, str]]:
    """Return numbers and frames of rows, the mark of whose epoch was read along with them."""
    expected, frames = installation.mark_of(epoch), []
    for seq, frame, mark in rows:
        if mark != expected:
            raise EpochEndedError
        frames.append((seq, frame))
    return frames


def confirm(numbers: Mapping[str, int], *, epoch: str) -> set[str]:
    """Store for each user the number up to which a plain client has got everything; return the users left out.

    Numbers of an ended epoch, and numbers that a feed has not given yet, are ignored: another notification has them
    now, or will. A feed that is locked is left out rather than waited for.
    """
    if epoch != installation.read().epoch:
        return set()
    with transaction.atomic():
        # FOR NO KEY UPDATE lets others insert notifications that refer to the feed. A locked feed is left out, because
        # `notify` locks feeds in another order: to wait could deadlock, and a confirmation is worth no wait.
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


def read_rows(*, user_ids: Collection[str]) -> dict[str, FeedState]:
    """Return the feed state of each of these users without the oldest number, which is not in the feed's row."""
    _, epoch, is_first = installation.read()  # before the numbers: a later change is noticed soon
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_ROWS, [list(user_ids)])
        else:
            cursor.execute(_ROWS_ON_SQLITE, [orjson.dumps(list(user_ids)).decode()])
        found = {
            user_id: FeedState(newest, None, confirmed, epoch, is_first, *others)
            for user_id, newest, confirmed, *others in cursor.fetchall()
        }
    return dict.fromkeys(user_ids, FeedState(0, None, 0, epoch, is_first)) | found


def set_latest_connection(*, user_id: str, connection_id: str) -> None:
    """Store this connection as the only one of the user to serve, for NOTIFICATIONS_CONNECTIONS=latest."""
    Feed.objects.bulk_create(
        [Feed(user_id=user_id, latest_connection=connection_id)],
        update_conflicts=True,
        unique_fields=["user_id"],
        update_fields=["latest_connection"],
    )

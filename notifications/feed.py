"""A user's feed: the one door through which notifications get in, and the reads that bring them out again."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import connection, transaction
from django.db.models import Case, F, Max, OuterRef, Q, Subquery, When, Window
from django.utils import timezone

from database.prepared import execute
from notifications import installation, protocol
from notifications.fanout import groups
from notifications.fanout.groups import Wake
from notifications.models import Feed, Notification
from notifications.user_ids import check_user_id

# It makes feeds or locks them until the commit, so that numbers are given in the order of commits.
_NUMBER = """
    INSERT INTO notifications_feed (user_id, last_seq, latest_connection)
    SELECT user_id, count(*), '' FROM told WHERE true GROUP BY user_id ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET last_seq = notifications_feed.last_seq + excluded.last_seq
    RETURNING id, user_id, last_seq
"""
_INSERT = """
    INSERT INTO notifications_notification (feed_id, seq, frame, collapse_key, created_at, expires_at)
    SELECT feed.id, feed.last_seq - newer, frame, collapse_key, created_at, expires_at
    FROM told JOIN {} AS feed ON feed.user_id = told.user_id
"""
_ON_POSTGRESQL = f"""
    WITH told AS (
        SELECT * FROM json_to_recordset(%s) AS told (user_id text, newer integer, frame text, collapse_key text,
                                                     created_at timestamptz, expires_at timestamptz)
    ), feed AS ({_NUMBER}), written AS ({_INSERT.format("feed")})
    TABLE feed
"""  # noqa: S608 made of constants
_ON_SQLITE = """
    WITH told AS (
        SELECT json_extract(value, '$.user_id') AS user_id, json_extract(value, '$.newer') AS newer,
               json_extract(value, '$.frame') AS frame, json_extract(value, '$.collapse_key') AS collapse_key,
               json_extract(value, '$.created_at') AS created_at, json_extract(value, '$.expires_at') AS expires_at
        FROM json_each(%s)
    )
"""

# All users are one parameter: Django would build and adapt one for each, four times the work, each second.
_HEADS = "SELECT user_id, last_seq, latest_connection FROM notifications_feed WHERE user_id = ANY (%s)"
_HEADS_ON_SQLITE = """
    SELECT user_id, last_seq, latest_connection FROM notifications_feed
    WHERE user_id IN (SELECT value FROM json_each(%s))
"""

FRAME_MAX_BYTES = 16 * 1024
OFFERS_MAX = 10
"""How often a notification is offered to plain clients that register. Whose connections never live long enough to
confirm it has seen it by then."""


class OutsideTransactionError(RuntimeError):
    """`notify` was called outside a transaction.

    A notification is committed together with what it tells of, or not at all. Put both into one
    `with transaction.atomic():` block, and call `notify` late in it: from the call to the commit nobody else can
    notify this user.
    """

    def __init__(self) -> None:
        super().__init__("Call notify() within `with transaction.atomic():`, with the writes it tells of.")


class News(NamedTuple):
    """What a user is to be told.

    `frame` is what goes over the socket: JSON values, keys in the client guide's order, at most FRAME_MAX_BYTES of
    text.
    Of the notifications that share a `collapse_key` (at most 100 characters) a late client needs only the newest.
    From `expires_at` (UTC) on it is of no use to a client; None: it always is.
    """

    user_id: str
    frame: Mapping[str, object]
    collapse_key: str
    expires_at: datetime | None


class Position(NamedTuple):
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


class Confirmation(NamedTuple):
    """Up to where a plain client has got everything, and when that was written down (UTC).

    It had arrived by then. None: before the time was kept.
    """

    seq: int
    at: datetime | None


class Head(NamedTuple):
    """A feed's newest number, and the connection that registered last with NOTIFICATIONS_CONNECTIONS=latest."""

    newest: int
    latest_connection: str


def notify(
    *, user_id: str, frame: Mapping[str, object], collapse_key: str, expires_at: datetime | None
) -> int:
    """Tell one user something; return the notification's number. Call it as `notify_all`, with the values of News."""
    return notify_all([News(user_id, frame, collapse_key, expires_at)])[0]


def notify_all(news: Sequence[News]) -> list[int]:
    """Tell users something, as part of the caller's transaction; return the notifications' numbers.

    The feeds stay locked until the commit: call it once in a transaction and late, or take the users in the order of
    their ids, or two such transactions can wait for each other.

    The connections of the users are woken after the commit. Raises OutsideTransactionError, InvalidUserIdError,
    and TypeError or ValueError where a frame is empty, too large or has no JSON form; then nothing is written.
    """
    if not connection.in_atomic_block:
        raise OutsideTransactionError
    texts = [_text(item) for item in news]
    if not news:
        return []
    seqs = _insert(news, texts)
    wakes = [Wake(item.user_id, seq, text) for item, seq, text in zip(news, seqs, texts, strict=True)]
    transaction.on_commit(lambda: groups.wake(wakes), robust=True)
    return seqs


def _text(item: News) -> str:
    check_user_id(item.user_id)
    if not item.frame:
        raise ValueError("A frame has at least a type.")
    text = protocol.encode(item.frame)
    if len(text) > FRAME_MAX_BYTES:
        raise ValueError(f"A frame has at most {FRAME_MAX_BYTES} bytes of JSON, not {len(text)}.")
    return text


def _insert(news: Sequence[News], texts: Sequence[str]) -> list[int]:
    """Write notifications, with as many statements whatever their number; return their numbers."""
    counts = Counter(item.user_id for item in news)
    newer = dict(counts)
    told: list[dict[str, Any]] = []
    at = connection.ops.adapt_datetimefield_value
    now = at(timezone.now())
    for item, text in zip(news, texts, strict=True):
        newer[item.user_id] -= 1  # how many of the same user come after this one
        told.append(
            {
                "user_id": item.user_id,
                "newer": newer[item.user_id],
                "frame": text,
                "collapse_key": item.collapse_key,
                "created_at": now,
                "expires_at": at(item.expires_at),
            }
        )
    newest = _write(orjson.dumps(told).decode())
    return [newest[row["user_id"]] - row["newer"] for row in told]


def _write(told: str) -> dict[str, int]:
    """Number and insert notifications, on PostgreSQL in one round trip; return the newest number of each user."""
    if connection.vendor == "postgresql":
        rows = execute(_ON_POSTGRESQL, told)
    else:
        rows = execute(_ON_SQLITE + _NUMBER, told)
        execute(_ON_SQLITE + _INSERT.format("notifications_feed"), told)
    return {user_id: int(last_seq) for _, user_id, last_seq in rows}


def read_after(*, user_id: str, seq: int, limit: int) -> list[tuple[int, str]]:
    """Return numbers and frames of the notifications after `seq`, in order, at most `limit`."""
    rows = Notification.objects.filter(feed__user_id=user_id, seq__gt=seq).order_by("seq")
    return list(rows.values_list("seq", "frame")[:limit])


def read_positions(*, user_ids: Collection[str]) -> dict[str, Position]:
    """Return how far the feed of each of these users goes, by user id."""
    _, epoch, is_first = installation.read()  # before the numbers: one that ends in between is noticed soon
    oldest = Notification.objects.filter(feed=OuterRef("pk")).order_by("seq").values("seq")[:1]
    feeds = Feed.objects.filter(user_id__in=user_ids).order_by()
    rows = feeds.values_list("user_id", "last_seq", Subquery(oldest), "confirmed_seq")
    found = {
        user_id: Position(newest, first, confirmed, epoch, is_first)
        for user_id, newest, first, confirmed in rows
    }
    return dict.fromkeys(user_ids, Position(0, None, 0, epoch, is_first)) | found


def offer(*, user_id: str, after: int, up_to: int, limit: int) -> list[tuple[int, str]]:
    """Return what a plain client is sent of the notifications after `after` and up to `up_to`, in order.

    These are numbers and frames of at most `limit` notifications: of each collapse key the newest, unless it has
    expired or was offered OFFERS_MAX times before. That they are offered once more is written down.
    """
    is_news = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    is_newest = Q(seq=Window(Max("seq"), partition_by="collapse_key"))
    unconfirmed = Notification.objects.filter(feed__user_id=user_id, seq__gt=after, seq__lte=up_to)
    # All is judged in one go after the window: conditions of their own would take rows away from it, and a subquery
    # for the newest would be carried out for each row.
    wanted = unconfirmed.filter(
        Case(When(is_newest & is_news & Q(offers__lt=OFFERS_MAX), then=True), default=False)
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


def confirmed_until(*, user_id: str) -> Confirmation | None:
    """Return how much of a user's feed an app is known to have got; None: nothing.

    Apps that resume by `lastSeq` ask for what they lack, and confirm nothing. Of the notifications up to the number that
    share a collapse key, an app that was away got the newest alone.
    """
    feeds = Feed.objects.filter(user_id=user_id, confirmed_seq__gt=0).order_by()
    row = feeds.values_list("confirmed_seq", "confirmed_at").first()
    return Confirmation(*row) if row else None


def read_truth(*, user_ids: Sequence[str]) -> tuple[str, dict[str, Head]]:
    """Return the epoch of the numbers, and the head of each of these users' feeds."""
    epoch = installation.read().epoch
    return epoch, dict.fromkeys(user_ids, Head(0, "")) | read_heads(user_ids=user_ids)


def read_heads(*, user_ids: Sequence[str]) -> dict[str, Head]:
    """Return the heads of these users' feeds, by user id. Who has no feed is left out."""
    ids = list(user_ids)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_HEADS, [ids])
        else:
            cursor.execute(_HEADS_ON_SQLITE, [orjson.dumps(ids).decode()])
        return {user_id: Head(newest, latest) for user_id, newest, latest in cursor.fetchall()}


def claim(*, user_id: str, connection_id: str) -> None:
    """Make this connection the one of the user that is served, for NOTIFICATIONS_CONNECTIONS=latest."""
    Feed.objects.bulk_create(
        [Feed(user_id=user_id, latest_connection=connection_id)],
        update_conflicts=True,
        unique_fields=["user_id"],
        update_fields=["latest_connection"],
    )

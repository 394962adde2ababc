"""Write notifications, and read how far a user's clients have confirmed them: all that other apps may use.

notifications/delivery sends them to connections.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import connection, transaction
from django.utils import timezone

from database.prepared import execute
from notifications import protocol, timeline
from notifications.fanout import publish
from notifications.fanout.publish import Wake
from notifications.models import Feed
from notifications.protocol import check_user_id

# Creates the feeds, or locks their rows until the commit, so that the order of numbers is the order of commits.
_NUMBER = """
    INSERT INTO notifications_feed (user_id, last_seq, latest_connection)
    SELECT user_id, count(*), '' FROM incoming WHERE true GROUP BY user_id ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET last_seq = notifications_feed.last_seq + excluded.last_seq
    RETURNING id, user_id, last_seq
"""
_INSERT = """
    INSERT INTO notifications_notification (feed_id, seq, frame, collapse_key, created_at, expires_at)
    SELECT feed.id, feed.last_seq - newer, frame, collapse_key, created_at, expires_at
    FROM incoming JOIN {} AS feed ON feed.user_id = incoming.user_id
"""
_ON_POSTGRESQL = f"""
    WITH incoming AS (
        SELECT * FROM json_to_recordset(%s) AS item (user_id text, newer integer, frame text, collapse_key text,
                                                     created_at timestamptz, expires_at timestamptz)
    ), feed AS ({_NUMBER}), written AS ({_INSERT.format("feed")})
"""  # noqa: S608 made of constants
_ON_SQLITE = """
    WITH incoming AS (
        SELECT json_extract(value, '$.user_id') AS user_id, json_extract(value, '$.newer') AS newer,
               json_extract(value, '$.frame') AS frame, json_extract(value, '$.collapse_key') AS collapse_key,
               json_extract(value, '$.created_at') AS created_at, json_extract(value, '$.expires_at') AS expires_at
        FROM json_each(%s)
    )
"""

FRAME_MAX_BYTES = 16 * 1024


class OutsideTransactionError(RuntimeError):
    """`notify` was called outside a transaction.

    A notification is committed with the change that it reports, or not at all. Put both into one
    `with transaction.atomic():` block, and call `notify` late in it: from the call to the commit the user's feed is
    locked.
    """

    def __init__(self) -> None:
        super().__init__(
            "Call notify() within `with transaction.atomic():`, with the writes that it reports."
        )


class NewNotification(NamedTuple):
    """A notification to write.

    `frame` goes over the socket: JSON values, keys in the client guide's order, at most FRAME_MAX_BYTES of text.
    Of the notifications that share a `collapse_key` (at most 100 characters) only the newest is redelivered.
    From `expires_at` (UTC) on it is not redelivered; None: it never expires.
    """

    user_id: str
    frame: Mapping[str, object]
    collapse_key: str
    expires_at: datetime | None


class Confirmation(NamedTuple):
    """The number up to which a plain client has got everything, and when that was stored (UTC).

    None: it was stored before the time was kept.
    """

    seq: int
    at: datetime | None


def notify(
    *, user_id: str, frame: Mapping[str, object], collapse_key: str, expires_at: datetime | None
) -> int:
    """Notify one user; return the notification's number. Call it as `notify_all`, with the values of NewNotification."""
    return notify_all([NewNotification(user_id, frame, collapse_key, expires_at)])[0]


def notify_all(new: Sequence[NewNotification]) -> list[int]:
    """Write notifications in the caller's transaction; return their numbers. Wake the users' connections after the commit.

    The feeds stay locked until the commit. Call it once in a transaction and late, or notify users in the order of
    their ids; otherwise two transactions can deadlock.

    Raises OutsideTransactionError, InvalidUserIdError, and TypeError or ValueError if a frame is empty, too large or
    has no JSON form. Then nothing is written.
    """
    if not connection.in_atomic_block:
        raise OutsideTransactionError
    texts = [_text(item) for item in new]
    if not new:
        return []
    seqs, segment = _insert(new, texts)
    wakes = [Wake(item.user_id, seq, text) for item, seq, text in zip(new, seqs, texts, strict=True)]
    transaction.on_commit(lambda: publish.publish(wakes, segment=segment), robust=True)
    return seqs


def _text(item: NewNotification) -> str:
    check_user_id(item.user_id)
    if not item.frame:
        raise ValueError("A frame has at least a type.")
    text = protocol.encode(item.frame)
    if len(text) > FRAME_MAX_BYTES:
        raise ValueError(f"A frame has at most {FRAME_MAX_BYTES} bytes of JSON, not {len(text)}.")
    return text


def _insert(new: Sequence[NewNotification], texts: Sequence[str]) -> tuple[list[int], str | None]:
    """Write notifications, with the same few statements for any number of them.

    Return their numbers, and PostgreSQL's timeline if it can be read.
    """
    counts = Counter(item.user_id for item in new)
    newer = dict(counts)
    rows: list[dict[str, Any]] = []
    at = connection.ops.adapt_datetimefield_value
    now = at(timezone.now())
    for item, text in zip(new, texts, strict=True):
        newer[item.user_id] -= 1  # now the count of the same user's items after this one
        rows.append(
            {
                "user_id": item.user_id,
                "newer": newer[item.user_id],
                "frame": text,
                "collapse_key": item.collapse_key,
                "created_at": now,
                "expires_at": at(item.expires_at),
            }
        )
    newest, segment = _write(orjson.dumps(rows).decode())
    return [newest[row["user_id"]] - row["newer"] for row in rows], segment


def _write(items: str) -> tuple[dict[str, int], str | None]:
    """Return each user's newest number after numbering and inserting a JSON list; one round trip on PostgreSQL."""
    if connection.vendor == "postgresql":
        rows = execute(_ON_POSTGRESQL + _with_timeline("feed"), items)
    else:
        rows = [(*row, None) for row in execute(_ON_SQLITE + _NUMBER, items)]  # it has no failover
        execute(_ON_SQLITE + _INSERT.format("notifications_feed"), items)
    return {user_id: int(last_seq) for _, user_id, last_seq, _ in rows}, rows[0][3]


def _with_timeline(feeds: str) -> str:
    """Return the query for the numbered feeds, each with the timeline of the numbers, which is read once."""
    return f"SELECT {feeds}.*, (SELECT {timeline.of_writer()}) FROM {feeds}"  # noqa: S608 made of constants


def confirmed_until(*, user_id: str) -> Confirmation | None:
    """Return how far the user's plain clients have confirmed the feed; None: nothing is confirmed.

    Clients that resume by `lastSeq` confirm nothing. A client that was away got only the newest of the notifications
    that share a collapse key.
    """
    feeds = Feed.objects.filter(user_id=user_id, confirmed_seq__gt=0).order_by()
    row = feeds.values_list("confirmed_seq", "confirmed_at").first()
    return Confirmation(*row) if row else None

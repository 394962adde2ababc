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

# Creates the feeds, or locks their rows until the commit, so that the order of numbers is the order of commits. One
# order of locks keeps two statements from waiting for each other. `WHERE true` tells SQLite's parser that ON CONFLICT
# is no condition of a join (https://www.sqlite.org/lang_upsert.html, section 2.2).
_NUMBER = """
    INSERT INTO notifications_feed (user_id, last_seq, latest_connection)
    SELECT user_id, count(*), '' FROM incoming WHERE true GROUP BY user_id ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET last_seq = notifications_feed.last_seq + excluded.last_seq
    RETURNING id, user_id, last_seq
"""
# A feed's `last_seq` is the last number of this statement: `newer` counts the user's notifications behind one.
_INSERT = """
    INSERT INTO notifications_notification (feed_id, seq, frame, collapse_key, created_at, expires_at)
    SELECT feed.id, feed.last_seq - newer, frame, collapse_key, created_at, expires_at
    FROM incoming JOIN {} AS feed ON feed.user_id = incoming.user_id
"""
_NUMBERED = """
    SELECT place, feed.last_seq - newer AS seq
    FROM incoming JOIN {} AS feed ON feed.user_id = incoming.user_id
"""
PART = f"""
    incoming AS (
        SELECT * FROM json_to_recordset(%s) AS item (place integer, user_id text, newer integer, frame text,
                                                     collapse_key text, created_at timestamptz, expires_at timestamptz)
        WHERE {{after}}
    ), feed AS ({_NUMBER}), notification AS ({_INSERT.format("feed")}), numbered AS ({_NUMBERED.format("feed")})
"""
"""The part of a caller's statement that writes notifications, on PostgreSQL: tables of its WITH clause.

Its parameter is `Prepared.rows`. `after`: a condition that reads what has to be locked before the feeds. Of its tables
the caller may read `feed`, which has a row for each feed that it locked. `numbered()` is the query for what it wrote.
"""
_ON_SQLITE = """
    WITH incoming AS (
        SELECT json_extract(value, '$.place') AS place, json_extract(value, '$.user_id') AS user_id,
               json_extract(value, '$.newer') AS newer, json_extract(value, '$.frame') AS frame,
               json_extract(value, '$.collapse_key') AS collapse_key,
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
    """Write a notification in the caller's transaction, and return its number. After the commit wake the connections.

    For the values see NewNotification. The feed stays locked until the commit. Call it once in a transaction and late,
    or notify users in the order of their ids; otherwise two transactions can deadlock.

    Raises OutsideTransactionError, InvalidUserIdError, and TypeError or ValueError if the frame is empty, too large or
    has no JSON form. Then nothing is written.
    """
    if not connection.in_atomic_block:
        raise OutsideTransactionError
    prepared = prepare([NewNotification(user_id, frame, collapse_key, expires_at)])
    numbers = write(prepared)
    wake_after_commit(prepared, numbers)
    return numbers.seqs[0]


class Prepared(NamedTuple):
    """Notifications that are checked: `texts` are those of their frames, and `rows` has all of them in JSON."""

    new: Sequence[NewNotification]
    texts: Sequence[str]
    rows: str


class Numbers(NamedTuple):
    """The numbers that notifications got, in their order, and PostgreSQL's timeline if it can be read."""

    seqs: Sequence[int] = ()
    segment: str | None = None


def prepare(new: Sequence[NewNotification]) -> Prepared:
    """Check notifications, which `write` writes within the caller's transaction, or a statement with PART in it.

    Raises InvalidUserIdError, TypeError and ValueError as `notify` does.
    """
    texts = [_text(item) for item in new]
    return Prepared(new, texts, _rows(new, texts))


def numbered() -> str:
    """Return the query for what PART wrote: the `place` of each notification, from 0, its `seq`, and the `segment`.

    The segment is PostgreSQL's timeline, which is read once.
    """
    return f"SELECT place, seq, (SELECT {timeline.of_writer()}) AS segment FROM numbered"


def write(prepared: Prepared) -> Numbers:
    """Write notifications in the caller's transaction, on PostgreSQL in one round trip."""
    if not prepared.new:
        return Numbers()
    if connection.vendor == "postgresql":
        # Rows come back in any order, and callers match numbers to notifications by their places.
        rows = execute(f"WITH {PART.format(after='true')} {numbered()} ORDER BY place", prepared.rows)
        return Numbers([int(seq) for _, seq, _ in rows], rows[0][2])
    execute(_ON_SQLITE + _NUMBER, prepared.rows)
    execute(_ON_SQLITE + _INSERT.format("notifications_feed"), prepared.rows)
    rows = execute(_ON_SQLITE + _NUMBERED.format("notifications_feed") + " ORDER BY place", prepared.rows)
    return Numbers([int(seq) for _, seq in rows])  # it has no failover


def wake_after_commit(prepared: Prepared, numbers: Numbers) -> None:
    """Wake the users' connections once the caller's transaction is committed, or now if there is none."""
    if prepared.new:
        with_numbers = zip(prepared.new, numbers.seqs, prepared.texts, strict=True)
        wakes = [Wake(item.user_id, seq, text) for item, seq, text in with_numbers]
        # robust: the change is committed, so a failure here must not reach the caller as its own.
        transaction.on_commit(lambda: publish.publish(wakes, segment=numbers.segment), robust=True)


def _text(item: NewNotification) -> str:
    check_user_id(item.user_id)
    if not item.frame:
        raise ValueError("A frame has at least a type.")
    text = protocol.encode(item.frame)
    # `encode` writes ASCII, so that characters are bytes.
    if len(text) > FRAME_MAX_BYTES:
        raise ValueError(f"A frame has at most {FRAME_MAX_BYTES} bytes of JSON, not {len(text)}.")
    return text


def _rows(new: Sequence[NewNotification], texts: Sequence[str]) -> str:
    newer = Counter(item.user_id for item in new)
    rows: list[dict[str, Any]] = []
    # SQLite compares times as text: they have to be in the format in which the ORM writes them.
    at = connection.ops.adapt_datetimefield_value
    now = at(timezone.now())
    for place, (item, text) in enumerate(zip(new, texts, strict=True)):
        newer[item.user_id] -= 1  # now the count of the same user's items after this one
        rows.append(
            {
                "place": place,
                "user_id": item.user_id,
                "newer": newer[item.user_id],
                "frame": text,
                "collapse_key": item.collapse_key,
                "created_at": now,
                "expires_at": at(item.expires_at),
            }
        )
    return orjson.dumps(rows).decode()


def confirmed_until(*, user_id: str) -> Confirmation | None:
    """Return how far the user's plain clients have confirmed the feed; None: nothing is confirmed.

    Clients that resume by `lastSeq` confirm nothing. A client that was away got only the newest of the notifications
    that share a collapse key.
    """
    feeds = Feed.objects.filter(user_id=user_id, confirmed_seq__gt=0).order_by()
    row = feeds.values_list("confirmed_seq", "confirmed_at").first()
    return Confirmation(*row) if row else None

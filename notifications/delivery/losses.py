"""Feeds that a database has lost numbers of, which it then gives again to other notifications."""

import logging

from django.db import transaction

from notifications import installation
from notifications.models import Feed

logger = logging.getLogger(__name__)


def has_lost(*, user_id: str, seq: int, frame: str | None, up_to: int, epoch: str) -> bool:
    """Tell whether a sign that a feed has lost numbers is true; see `is_lost`, and `is_given_again` for a frame."""
    if frame is None:
        return is_lost(user_id=user_id, seq=seq, epoch=epoch)
    return is_given_again(user_id=user_id, seq=seq, frame=frame, up_to=max(seq, up_to), epoch=epoch)


def is_lost(*, user_id: str, seq: int, epoch: str) -> bool:
    """Tell whether a feed really ends before a number that was sent from it in this epoch.

    Then what the feed has lost is noted with it, and a new epoch begins for all feeds: others have lost numbers too.
    The feed's row is locked for that, which only the server does that takes writes: one that is merely behind, behind
    a pooler that spreads reads, raises a DatabaseError or is not asked.
    """
    with transaction.atomic():
        Feed.objects.bulk_create([Feed(user_id=user_id)], ignore_conflicts=True)  # it may be lost as a whole
        feed = Feed.objects.select_for_update(no_key=True).get(user_id=user_id)
        if feed.last_seq >= seq:
            return False
        is_first = _note(feed, after=feed.last_seq, up_to=seq, epoch=epoch)
    if is_first:
        logger.warning("The database has lost commits: a feed ends before what was sent from it.")
    return True


def is_given_again(*, user_id: str, seq: int, frame: str, up_to: int, epoch: str) -> bool:
    """Tell whether a number that was sent before, of those up to `up_to`, really is another notification's by now.

    Then the same follows as in `is_lost`: the numbers were lost, and the feed has grown since.
    """
    with transaction.atomic():
        feed = Feed.objects.select_for_update(no_key=True).filter(user_id=user_id).first()
        if feed is None or not feed.notifications.filter(seq=seq, frame=frame).exists():
            return False
        is_first = _note(feed, after=seq - 1, up_to=up_to, epoch=epoch)
    if is_first:
        logger.warning("The database has lost commits: it gives numbers again that were sent.")
    return True


def _note(feed: Feed, *, after: int, up_to: int, epoch: str) -> bool:
    """Note which numbers a feed has lost, and begin a new epoch; tell whether nobody else did."""
    feed.lost_after = after if feed.lost_after is None else min(after, feed.lost_after)
    feed.lost_up_to = max(up_to, feed.lost_up_to or 0)
    feed.save(update_fields=["lost_after", "lost_up_to"])
    return installation.begin_epoch(instead_of=epoch)

"""Feeds that a database has lost numbers of, which it then gives again to other notifications."""

import logging

from django.db import transaction

from notifications import installation
from notifications.models import Feed

logger = logging.getLogger(__name__)


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
        feed.lost_after = feed.last_seq if feed.lost_after is None else min(feed.last_seq, feed.lost_after)
        feed.lost_up_to = max(seq, feed.lost_up_to or 0)
        feed.save(update_fields=["lost_after", "lost_up_to"])
        is_first = installation.begin_epoch(instead_of=epoch)
    if is_first:
        logger.warning("The database has lost commits: a feed ends before what was sent from it.")
    return True

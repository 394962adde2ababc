"""Feeds that a database has lost numbers of, which it then gives again to other notifications."""

import logging

from django.db import transaction

from notifications import installation
from notifications.models import Feed

logger = logging.getLogger(__name__)


def is_lost(*, user_id: str, seq: int, epoch: str) -> bool:
    """Tell whether a feed really ends before a number that was sent from it in this epoch.

    Then a new epoch begins for all feeds: others have lost numbers too.
    The feed's row is locked for that, which only the server does that takes writes: one that is merely behind, behind
    a pooler that spreads reads, raises a DatabaseError or is not asked.
    """
    with transaction.atomic():
        Feed.objects.bulk_create([Feed(user_id=user_id)], ignore_conflicts=True)  # it may be lost as a whole
        feed = Feed.objects.select_for_update(no_key=True).get(user_id=user_id)
        if feed.last_seq >= seq:
            return False
        is_first = installation.begin_epoch(instead_of=epoch)
    if is_first:
        logger.warning("The database has lost commits: a feed ends before what was sent from it.")
    return True


def is_given_again(*, user_id: str, seq: int, frame: str, epoch: str) -> bool:
    """Tell whether a number that was sent before really is another notification's by now.

    Then the same follows as in `is_lost`: the numbers were lost, and the feed has grown since.
    """
    with transaction.atomic():
        feed = Feed.objects.select_for_update(no_key=True).filter(user_id=user_id).first()
        if feed is None or not feed.notifications.filter(seq=seq, frame=frame).exists():
            return False
        is_first = installation.begin_epoch(instead_of=epoch)
    if is_first:
        logger.warning("The database has lost commits: it gives numbers again that were sent.")
    return True

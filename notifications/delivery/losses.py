"""Check whether the database has lost numbers of a feed, and begin a new epoch if it has."""

import logging

from django.db import transaction

from notifications import installation
from notifications.models import Feed

logger = logging.getLogger(__name__)


def is_lost(*, user_id: str, seq: int, epoch: str) -> bool:
    """Return whether a feed ends before a number that was sent from it in this epoch.

    If so, begin a new epoch for all feeds, since others have lost numbers too. The feed's row is locked for the check.
    Only a server that takes writes can lock it: a replica that lags raises a DatabaseError.
    """
    with transaction.atomic():
        Feed.objects.bulk_create([Feed(user_id=user_id)], ignore_conflicts=True)  # the whole row may be lost
        feed = Feed.objects.select_for_update(no_key=True).get(user_id=user_id)
        if feed.last_seq >= seq:
            return False
        is_first = installation.begin_epoch(instead_of=epoch)
    if is_first:
        logger.warning("The database has lost commits: a feed ends before what was sent from it.")
    return True


def is_given_again(*, user_id: str, seq: int, frame: str, epoch: str) -> bool:
    """Return whether a number that was sent belongs to another notification by now.

    If so, numbers were lost and the feed has grown since. Begin a new epoch, as `is_lost` does.
    """
    with transaction.atomic():
        feed = Feed.objects.select_for_update(no_key=True).filter(user_id=user_id).first()
        if feed is None or not feed.notifications.filter(seq=seq, frame=frame).exists():
            return False
        is_first = installation.begin_epoch(instead_of=epoch)
    if is_first:
        logger.warning("The database has lost commits: it gives numbers again that were sent.")
    return True

"""Check whether the database has lost numbers of a feed, and begin a new epoch if it has."""

import logging

from django.db import transaction

from notifications import installation
from notifications.delivery.cursor import Doubt
from notifications.models import Feed

logger = logging.getLogger(__name__)


def has_lost(doubt: Doubt, *, user_id: str, epoch: str) -> bool:
    """Return whether a feed ends before a number that was sent in this epoch, or gives it to another notification.

    If so, begin a new epoch for all feeds, since others have lost numbers too. The feed's row is locked for the check.
    Only a server that takes writes can lock it: a replica that lags raises a DatabaseError.
    """
    with transaction.atomic():
        Feed.objects.bulk_create([Feed(user_id=user_id)], ignore_conflicts=True)  # the whole row may be lost
        feed = Feed.objects.select_for_update(no_key=True).get(user_id=user_id)
        if doubt.frame is None:
            has_lost = feed.last_seq < doubt.seq
        else:
            has_lost = feed.notifications.filter(seq=doubt.seq, frame=doubt.frame).exists()
        is_first = has_lost and installation.begin_epoch(instead_of=epoch)
    if is_first:
        logger.warning(
            "The database has lost commits: a feed has lost numbers that were sent, or gives them again."
        )
    return has_lost

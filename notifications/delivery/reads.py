"""Read the database for pumps. After a failure the next comparison starts the pump again."""

import logging

from django.db import Error as DatabaseError

from database.errors import describe
from database.threads import in_thread, in_writing_thread
from notifications import metrics
from notifications.delivery import cursor, history, losses
from notifications.delivery.cursor import Doubt, Page

logger = logging.getLogger(__name__)


async def read_page(page: Page, *, user_id: str, epoch: str) -> list[tuple[int, str]] | None:
    """Return numbers and frames of a page of the user's feed, or None if the database fails or has another epoch."""
    limit = cursor.PAGE_SIZE
    try:
        if page.is_redelivery:  # it writes: redeliveries are counted
            return await in_writing_thread(
                history.redeliver,
                user_id=user_id,
                after=page.after,
                up_to=page.up_to,
                limit=limit,
                epoch=epoch,
            )
        return await in_thread(history.read_after, user_id=user_id, seq=page.after, limit=limit, epoch=epoch)
    except DatabaseError as error:  # EpochEndedError too, which the next comparison finds by itself
        metrics.READ_FAILURES.inc()
        reason = describe(error)
        logger.warning(
            "A feed could not be read: %s; the reconciler tries again.", reason, extra={"reason": reason}
        )
        return None


async def has_lost(doubt: Doubt, *, user_id: str, epoch: str) -> bool | None:
    """Return whether the user's feed has lost numbers of this epoch, or None if the database fails."""
    try:
        return await in_writing_thread(losses.has_lost, doubt, user_id=user_id, epoch=epoch)
    except DatabaseError as error:
        reason = describe(error)
        logger.warning(
            "A feed seems to have lost numbers (%s); asking again.", reason, extra={"reason": reason}
        )
        return None

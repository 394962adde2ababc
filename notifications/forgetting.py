"""Forget a user: close the connections, remove the notifications, and put a pseudonym in place of the user id."""

from django.db import transaction

from notifications.disconnect import disconnect
from notifications.models import Feed, Notification

AT_ONCE = 1000
"""Notifications in one transaction, so that it holds its locks briefly."""


def close_connections(*, user_id: str) -> bool:
    """Ask each process to close the connections of a user who has a feed; return whether there is one.

    Each does so within two seconds. The feed has to stay until then.
    """
    if not Feed.objects.filter(user_id=user_id).exists():
        return False
    disconnect(user_id=user_id)
    return True


def forget(*, user_id: str, pseudonym: str) -> int:
    """Remove the notifications of a user, and rename the feed; return how many there were.

    The feed's row stays under the pseudonym, so that its numbers go on. If there is one already, from an earlier time,
    the new one goes.
    """
    feed = Feed.objects.filter(user_id=user_id).first()
    if feed is None:
        return 0
    removed = 0
    while pks := list(
        Notification.objects.filter(feed=feed).order_by("seq").values_list("pk", flat=True)[:AT_ONCE]
    ):
        removed += Notification.objects.filter(pk__in=pks).delete()[0]
    with transaction.atomic():
        # `notify` waits for this lock, so nothing can come behind the last removal.
        feed = Feed.objects.select_for_update().get(pk=feed.pk)
        removed += Notification.objects.filter(feed=feed).delete()[0]
        if Feed.objects.filter(user_id=pseudonym).exists():
            feed.delete()
        else:
            Feed.objects.filter(pk=feed.pk).update(user_id=pseudonym, latest_connection="")
    return removed

"""What went over the wire to a user."""

import json

from notifications.models import Notification


def frames(user_id):
    """Return every frame of a user's feed, oldest first."""
    rows = Notification.objects.filter(feed__user_id=user_id).order_by("seq")
    return [json.loads(row.frame) for row in rows]

"""Close all connections of a user, in every process."""

from django.db import connection, transaction

from notifications.fanout import publish
from notifications.protocol import check_user_id

# As text, because Django's upsert can only overwrite a column, and not add to it. A user may have connections and no
# feed yet: then the row is made.
_COUNT = """
    INSERT INTO notifications_feed (user_id, last_seq, latest_connection, disconnects) VALUES (%s, 0, '', 1)
    ON CONFLICT (user_id) DO UPDATE SET disconnects = notifications_feed.disconnects + 1
"""


def disconnect(*, user_id: str) -> None:
    """Close the connections that are registered as this user now, with 4401. Call it from synchronous code.

    The request is a number in the feed's row, which each process compares with each second. The channel layer only
    makes that sooner. Raises InvalidUserIdError, and a DatabaseError.
    """
    check_user_id(user_id)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, [user_id])
        # robust: the request is stored, and the comparison each second finds it without this message.
        transaction.on_commit(lambda: publish.request_comparison_of(user_id=user_id), robust=True)

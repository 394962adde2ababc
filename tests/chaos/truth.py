"""What the database says, asked past the proxies."""

import json

import psycopg

from tests.chaos.records import Notification, Truth

NOTIFICATIONS = """
    SELECT feed.user_id, n.seq, n.collapse_key, n.frame, extract(epoch FROM n.created_at)::float8
    FROM notifications_notification n JOIN notifications_feed feed ON feed.id = n.feed_id
    ORDER BY feed.user_id, n.seq
"""
STATUSES = "SELECT id::text, status FROM payments_payment"
WAITING = "SELECT count(*) FROM sandbox_delivery WHERE state = 'pending'"


def read_truth(database_url: str) -> Truth:
    """Return all feeds and all statuses."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        notifications: dict[str, list[Notification]] = {}
        for user_id, seq, subject, frame, at in connection.execute(NOTIFICATIONS):
            row = Notification(user_id=user_id, seq=seq, subject=subject, frame=json.loads(frame), at=at)
            notifications.setdefault(user_id, []).append(row)
        return Truth(notifications=notifications, statuses=dict(connection.execute(STATUSES).fetchall()))


def waiting_deliveries(database_url: str) -> int:
    """Return how many events the sandbox has still to deliver."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(WAITING).fetchone()
        return row[0] if row else 0

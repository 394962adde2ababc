"""The tables: feeds with their notifications, the installation, and the processes that listen."""

from django.db import models

from notifications.protocol import USER_ID_MAX_LENGTH


class Feed(models.Model):
    """One user's notifications: the newest number, the confirmed number, and the newest connection."""

    user_id = models.CharField("user id", max_length=USER_ID_MAX_LENGTH)
    last_seq = models.BigIntegerField("newest number", default=0)
    # db_default, because the version before goes on inserting while a migration has added the column.
    confirmed_seq = models.BigIntegerField(
        "confirmed number",
        db_default=0,
        help_text="Up to here a plain client has got everything. The rest is sent to the next that registers.",
    )
    confirmed_at = models.DateTimeField(
        "confirmed (UTC)", null=True, blank=True, help_text="When that number was written down."
    )
    latest_connection = models.CharField(
        max_length=32,
        blank=True,
        help_text="With NOTIFICATIONS_CONNECTIONS=latest, the one connection that is served.",
    )
    disconnects = models.BigIntegerField(
        db_default=0, help_text="How often the backend had all connections of the user closed."
    )

    class Meta:
        ordering = ["-pk"]
        # Staff look for how a user id begins, which PostgreSQL's usual index does not find.
        constraints = [
            models.UniqueConstraint(
                fields=["user_id"], name="one_feed_a_user", opclasses=["varchar_pattern_ops"]
            )
        ]

    def __str__(self) -> str:
        return self.user_id


class Notification(models.Model):
    """A frame for a user, numbered 1, 2, 3, … within the user's feed, without gaps."""

    # The index of the constraint below begins with the feed: a second one would only cost writes.
    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="notifications", db_index=False)
    seq = models.BigIntegerField("number")
    frame = models.TextField(help_text="The JSON text that goes over the socket.")
    collapse_key = models.CharField(
        max_length=100, help_text="Of the notifications that share it, a late client needs only the newest."
    )
    redeliveries = models.PositiveSmallIntegerField(
        db_default=0, help_text="How often it was sent again, to a plain client that registered."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on it is of no use to a client (UTC)."
    )

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["feed", "seq"], name="one_notification_a_number")]

    def __str__(self) -> str:
        return f"{self.feed_id}/{self.seq}"


class Installation(models.Model):
    """One row: the name of this installation and the epoch of its numbers. See notifications/installation.py."""

    name = models.CharField(max_length=32)
    epoch = models.CharField(max_length=32)
    first_epoch = models.CharField(
        max_length=48, db_default="", help_text="The first of all, with the timeline; empty: it is not known."
    )

    def __str__(self) -> str:
        return self.name


class Listener(models.Model):
    """A process that listens to the channel layer. See notifications/fanout/peers.py."""

    name = models.CharField(max_length=32)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name"], name="one_listener_a_name")]

    def __str__(self) -> str:
        return self.name

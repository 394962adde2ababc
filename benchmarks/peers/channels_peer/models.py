"""The tables of schema.sql."""

import uuid

from django.db import models


class Payment(models.Model):  # noqa: DJ008 nobody lists them
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    ride_id = models.TextField()
    user_id = models.TextField()
    amount = models.BigIntegerField()
    currency = models.TextField()
    status = models.TextField(default="pending")
    session_id = models.TextField(null=True, unique=True)
    url = models.TextField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        managed = False
        db_table = "payments"


class Event(models.Model):  # noqa: DJ008 nobody lists them
    id = models.TextField(primary_key=True)
    type = models.TextField()
    body = models.TextField()
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        managed = False
        db_table = "events"


class Notification(models.Model):  # noqa: DJ008 nobody lists them
    id = models.BigAutoField(primary_key=True)
    user_id = models.TextField()
    frame = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        managed = False
        db_table = "notifications"

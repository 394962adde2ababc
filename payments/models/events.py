"""Stripe's events, and the changes of statuses that they and others caused."""

import json
from functools import cached_property
from typing import Any

from django.db import models

from payments.models.columns import api_key_name, by_beginning, unique_by_beginning
from payments.models.payment import Payment
from payments.status import Status
from payments.stripe import events
from payments.stripe.events import Reference


class WebhookEvent(models.Model):
    """An event of Stripe's, kept once, and what became of it."""

    class State(models.TextChoices):
        RECEIVED = "received", "received"
        APPLIED = "applied", "applied"
        IGNORED = "ignored", "ignored"
        PARKED = "parked", "parked"
        FAILED = "failed", "failed"

    class Reason(models.TextChoices):
        """Why an event was ignored, or failed before it could be applied."""

        TYPE = "type", "says nothing about a payment"
        ACCOUNT = "account", "of another account"
        LIVEMODE = "livemode", "of another mode"
        API_VERSION = "api_version", "in a version that is not read"
        UNREADABLE = "unreadable", "not as Stripe describes it"
        NOT_OURS = "not_ours", "of another integration"
        FOREIGN_SESSION = "foreign_session", "of a session that we did not make"
        OTHER_SESSION = "other_session", "of a session that was not handed out"
        OTHER_PAYMENT = "other_payment", "names another payment than it belongs to"
        IMPOSSIBLE_SUM = "impossible_sum", "names an impossible sum"
        UNMATCHED = "unmatched", "no payment became known"
        ERROR = "error", "could not be written"

    event_id = models.CharField("event", max_length=255)
    type = models.CharField(max_length=100)
    body = models.TextField(help_text="What is kept of the verified body.")
    api_version = models.CharField(max_length=255)
    livemode = models.BooleanField()
    object_id = models.CharField("object", max_length=255)
    payment_intent_id = models.CharField("payment intent", max_length=255)
    created_at = models.DateTimeField(help_text="When Stripe made the event (UTC, whole seconds).")
    received_at = models.DateTimeField(auto_now_add=True)
    deliveries = models.PositiveIntegerField(
        default=1, help_text="How often it was delivered; 0: Stripe was asked for it."
    )

    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVED)
    attempts = models.PositiveIntegerField(default=0, help_text="How often it was applied, or tried to be.")
    applied_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=20, choices=Reason.choices)
    error = models.TextField(help_text="Why it failed, or was ignored.")
    payment = models.ForeignKey(Payment, null=True, on_delete=models.PROTECT, related_name="events")

    class Meta:
        ordering = ["-received_at", "-id"]
        indexes = [
            models.Index(fields=["-received_at", "-id"], name="event_by_age"),
            models.Index(
                # Asked for after each event that makes an intent known, and of few rows.
                fields=["payment_intent_id"],
                name="parked_events",
                condition=models.Q(state="parked"),
            ),
            # Nearly all are applied: those are found by age.
            models.Index(
                fields=["state", "-received_at"],
                name="event_by_state",
                condition=~models.Q(state="applied"),
            ),
            # Only the reasons that are rare: those of another integration, and of types, are found by age.
            models.Index(
                fields=["reason", "-received_at"],
                name="event_by_reason",
                condition=~models.Q(reason__in=["", "type", "not_ours"]),
            ),
            by_beginning("type", name="event_by_type"),
            by_beginning("object_id", name="event_by_object"),
        ]
        constraints = [unique_by_beginning("event_id", name="event_by_id")]

    def __str__(self) -> str:
        return self.event_id

    @cached_property
    def content(self) -> dict[str, Any]:
        """The body, parsed."""
        return dict(json.loads(self.body))

    @cached_property
    def reference(self) -> Reference:
        """How it names its payment. Raises events.UnreadableError."""
        return events.reference(self.content)


class StatusChange(models.Model):
    """One change of a payment's status, and what caused it."""

    class Cause(models.TextChoices):
        EVENT = "event", "event"
        REPLAY = "replay", "replay"
        STAFF = "staff", "staff"
        API = "api", "API"
        RECONCILIATION = "reconciliation", "reconciliation"

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="changes")
    before = models.CharField(max_length=20, choices=Status.choices)
    after = models.CharField(max_length=20, choices=Status.choices)
    cause = models.CharField(max_length=20, choices=Cause.choices)
    api_key = api_key_name()
    # Protected: nothing but `retention`, which keeps id and type, may take away what caused a change.
    event = models.ForeignKey(WebhookEvent, null=True, on_delete=models.PROTECT, related_name="changes")
    pruned_event_id = models.CharField(
        max_length=255, db_default="", help_text="Of the event, once it is no longer kept."
    )
    pruned_event_type = models.CharField(max_length=100, db_default="")
    seq = models.BigIntegerField(
        "notification", null=True, help_text="The number of the notification that carried it to the user."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.before} → {self.after}"


class FetchedUntil(models.Model):
    """How far Stripe's events have been fetched: a single row."""

    moment = models.DateTimeField(help_text="Stripe was asked for every event that it made before (UTC).")

    def __str__(self) -> str:
        return f"{self.moment:%Y-%m-%d %H:%M:%S}"

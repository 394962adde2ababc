"""Events, their deliveries, and how the sandbox behaves."""

from django.db import models
from django.utils import timezone

from stripe_sandbox import ids
from stripe_sandbox.models.base import Kept
from stripe_sandbox.models.payments import Session


class Event(Kept):
    """An event. It holds the object as it was at that time."""

    stripe_id = models.CharField(max_length=64, unique=True, default=ids.event_id)
    type = models.CharField(max_length=100, db_index=True)
    session = models.ForeignKey(Session, on_delete=models.PROTECT, related_name="events")
    data = models.JSONField(help_text="`object`, and `previous_attributes` of an update.")
    request_id = models.CharField(max_length=64, null=True, blank=True)
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.type} {self.stripe_id}"


class Delivery(models.Model):
    """The delivery of one event to the webhook endpoint."""

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"
        DROPPED = "dropped"

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    session = models.ForeignKey(
        Session, on_delete=models.PROTECT, related_name="deliveries", help_text="The event's session."
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    due_at = models.DateTimeField(help_text="When it is sent, or sent again (UTC).")
    attempts = models.PositiveIntegerField(default=0, help_text="Tries that ended, well or not.")
    last_status = models.PositiveIntegerField(
        null=True, blank=True, help_text="The HTTP status of the last answer; none: there was no answer."
    )
    last_error = models.CharField(max_length=200, blank=True, help_text="Why there was no answer.")
    claimed_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then the process that is sending it has it to itself (UTC)."
    )
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            # Few deliveries are pending, so the worker's question each second reads few rows.
            models.Index(fields=["due_at", "id"], name="sandbox_due", condition=models.Q(state="pending")),
            models.Index(
                fields=["session", "due_at", "id"],
                name="sandbox_first_tries",
                condition=models.Q(state="pending", attempts=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} {self.state}"


class Behaviour(models.Model):
    """How new events are delivered, and how the next calls of the API fail. It has one row."""

    class Mode(models.TextChoices):
        NORMAL = "normal", "normal"
        TWICE = "twice", "every event twice"
        LATE = "late", "five seconds late"
        OUT_OF_ORDER = "out_of_order", "last event first"
        DROP = "drop", "not at all"

    class Fault(models.TextChoices):
        NONE = "", "as usual"
        RATE_LIMITED = "rate_limited", "429, too many requests"
        ERROR = "error", "500, an error at Stripe"
        SLOW = "slow", "slowly"
        CUT = "cut", "not at all: cut before the work"
        LOST = "lost", "lost: the work is done, then cut"

    mode = models.CharField(max_length=20, choices=Mode.choices, default=Mode.NORMAL)
    fault = models.CharField(
        max_length=20, choices=Fault.choices, default=Fault.NONE, db_default="", blank=True
    )
    faulty_calls = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How many calls from now on fail like this."
    )
    delay = models.PositiveIntegerField(
        default=15, db_default=15, help_text="Seconds that a slow call takes longer."
    )

    def __str__(self) -> str:
        return self.mode


class IdempotentRequest(models.Model):
    """A POST with an Idempotency-Key, and the response that a repetition gets."""

    # Unique, so that of two requests at once one makes the row and the other finds it.
    key = models.CharField(max_length=255, unique=True)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of path and parameters.")
    path = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    claimed_until = models.DateTimeField(help_text="Until then it is being answered (UTC).")
    request_id = models.CharField(max_length=64)
    status = models.PositiveIntegerField(null=True, blank=True, help_text="None: not answered yet.")
    body = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.key

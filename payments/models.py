"""What is kept of payments: payments, their intents, refunds, events and changes of statuses."""

import json
import secrets
import time
import uuid
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import models

from payments.status import Status
from payments.stripe.currencies import format_amount


def uuid7() -> uuid.UUID:
    """Return a UUID of version 7 (RFC 9562, section 5.7), whose place in an index is beside the last one's."""
    number = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return uuid.UUID(int=number & ~(0xF << 76 | 0x3 << 62) | 7 << 76 | 0b10 << 62)


def _by_beginning(field: str, *, name: str) -> models.Index:
    """Return an index that finds a whole text and how one begins. PostgreSQL's usual index finds the first alone."""
    return models.Index(fields=[field], name=name, opclasses=["varchar_pattern_ops"])


def _unique_by_beginning(field: str, *, name: str) -> models.UniqueConstraint:
    """Return the same for a text that is unique."""
    return models.UniqueConstraint(fields=[field], name=name, opclasses=["varchar_pattern_ops"])


def _api_key() -> "models.CharField[str, str]":
    """Return a column for the name of the API key that caused something. The name stays when the key is gone."""
    return models.CharField(
        "API key",
        max_length=64,
        db_default="",
        default="",
        help_text="The name of the API key that asked for it; empty: none did.",
    )


class Payment(models.Model):
    """A ride's payment. Its status follows from `facts`; nothing but `record.apply_facts` writes either."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    ride_id = models.CharField("ride", max_length=128)
    user_id = models.CharField("user", max_length=128)
    amount = models.BigIntegerField(help_text="In minor units of the currency, as Stripe counts them.")
    currency = models.CharField(max_length=3, help_text="ISO 4217, lower case.")
    description = models.CharField(max_length=500)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING)
    facts = models.JSONField(default=dict, help_text="What is known of the payment; it only grows.")
    attention = models.CharField(
        max_length=200, help_text="Why a person should look at it, by words of `Attention`."
    )

    session_id = models.CharField("Checkout session", max_length=255, null=True)
    payment_intent_id = models.CharField(
        "payment intent",
        max_length=255,
        null=True,
        help_text="The one that paid first, or was first heard of; all are among its intents.",
    )
    payment_url = models.TextField("Checkout link", help_text="A bearer link: it belongs to the user alone.")
    expires_at = models.DateTimeField(null=True, help_text="When the Checkout link ends (UTC).")
    link_seq = models.BigIntegerField(
        "link's number", null=True, help_text="The notification that carried the link."
    )

    stripe_params = models.JSONField(
        default=dict, help_text="What Stripe is asked for, frozen so that a retry is the same request."
    )
    attempt = models.PositiveIntegerField(
        default=1, help_text="Counts up when Stripe answered with an error, which it repeats to the same key."
    )
    checked_at = models.DateTimeField(
        null=True, help_text="When Stripe was last asked how the session is (UTC)."
    )
    stripe_error = models.TextField(help_text="Why Stripe did not create the session.")
    api_key = _api_key()
    idempotency_key = models.CharField(max_length=255, null=True)
    request_digest = models.CharField(max_length=64, help_text="SHA-256 of the request that created it.")
    ride_claim = models.CharField(
        max_length=128,
        null=True,
        editable=False,
        help_text="The ride, while this payment is open or paid: a ride has one such payment.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            _by_beginning("ride_id", name="payment_by_ride"),
            _by_beginning("user_id", name="payment_by_user"),
            models.Index(fields=["-created_at", "-id"], name="payment_by_age"),
            models.Index(fields=["status", "-created_at"], name="payment_by_status"),
            models.Index(fields=["currency", "-created_at"], name="payment_by_currency"),
            models.Index(
                fields=["-created_at"], name="payments_to_look_at", condition=~models.Q(attention="")
            ),
        ]
        constraints = [
            _unique_by_beginning("session_id", name="payment_by_session"),
            models.UniqueConstraint(fields=["idempotency_key", "api_key"], name="one_payment_a_key"),
            models.UniqueConstraint(fields=["ride_claim"], name="one_payment_a_ride"),
        ]
        permissions = [
            ("view_customer", "Can see customers' cards, receipts and texts"),
            ("refund_payment", "Can refund payments"),
            ("approve_refund", "Can approve refunds that another person asked for"),
            ("cancel_payment", "Can cancel payments"),
            ("fetch_payment", "Can ask Stripe how a payment is"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Intent(models.Model):
    """A payment intent of Stripe's: the one or more of a payment, or one that another integration made."""

    intent_id = models.CharField("payment intent", max_length=255)
    payment = models.ForeignKey(Payment, null=True, on_delete=models.PROTECT, related_name="intents")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [_unique_by_beginning("intent_id", name="intent_by_id")]

    def __str__(self) -> str:
        return self.intent_id


class RefundRequest(models.Model):
    """A refund that was asked for: kept before Stripe is called, so that a retry is the same refund."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refund_requests")
    amount = models.BigIntegerField(help_text="In minor units of the payment's currency.")
    is_full = models.BooleanField(help_text="Asked for without an amount: all that was left.")
    api_key = _api_key()
    idempotency_key = models.CharField(max_length=255, null=True)
    refund_id = models.CharField("refund", max_length=255, help_text="Empty until Stripe answered.")
    refund_status = models.CharField(max_length=20, help_text="As Stripe first answered.")
    attempt = models.PositiveIntegerField(
        default=1, help_text="Counts up when Stripe answered with an error, which it repeats to the same key."
    )
    payment_intent_id = models.CharField(
        "payment intent", max_length=255, help_text="The intent that is refunded."
    )
    abandoned_at = models.DateTimeField(
        null=True, help_text="When Stripe was found to have made no such refund (UTC)."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["created_at"],
                name="unanswered_refunds",
                condition=models.Q(refund_id="", abandoned_at=None),
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["idempotency_key", "api_key"], name="one_refund_a_key")
        ]

    def __str__(self) -> str:
        return self.refund_id or f"refund {self.pk}"


class WaitingRefund(models.Model):
    """A refund that a member of staff asked for and that another has to approve."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="waiting_refunds")
    payment_intent_id = models.CharField("payment intent", max_length=255)
    amount = models.BigIntegerField(help_text="In minor units of the payment's currency.")
    key = models.CharField(max_length=255, help_text="The idempotency key of its refund request.")
    # Few rows: the users' deletion, which they protect, may read all.
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    is_approved = models.BooleanField(null=True, help_text="Null: it waits.")
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["key"], name="one_waiting_refund_a_key")]

    def __str__(self) -> str:
        return format_amount(self.amount, self.payment.currency)

    def is_made(self) -> bool:
        """Return whether Stripe made the refund."""
        asked = RefundRequest.objects.filter(api_key="", idempotency_key=self.key)
        return asked.exclude(refund_id="").exists()


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
                fields=["payment_intent_id"], name="parked_events", condition=models.Q(state="parked")
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
            _by_beginning("type", name="event_by_type"),
            _by_beginning("object_id", name="event_by_object"),
        ]
        constraints = [_unique_by_beginning("event_id", name="event_by_id")]

    def __str__(self) -> str:
        return self.event_id

    @cached_property
    def content(self) -> dict[str, Any]:
        """The body, parsed."""
        return dict(json.loads(self.body))


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
    api_key = _api_key()
    event = models.ForeignKey(WebhookEvent, null=True, on_delete=models.PROTECT, related_name="changes")
    pruned_event_id = models.CharField(
        max_length=255, db_default="", help_text="Of the event, once it is no longer kept."
    )
    pruned_event_type = models.CharField(max_length=100, db_default="")
    seq = models.BigIntegerField(
        "notification", null=True, help_text="The number of the notification that told the user."
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

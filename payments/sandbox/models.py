"""What the sandbox keeps: Stripe's side of the wire. Rows hold state; objects/ turns them into Stripe's JSON."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from . import ids


class Kept(models.Model):
    """What all objects share. `id` counts up in the order of creation, which lists go by."""

    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True
        ordering = ["-id"]


class PaymentIntent(Kept):
    """The payment of one session, made when the customer first submits the page."""

    class Status(models.TextChoices):
        REQUIRES_PAYMENT_METHOD = "requires_payment_method"
        PROCESSING = "processing"
        SUCCEEDED = "succeeded"

    stripe_id = models.CharField(max_length=64, unique=True, default=ids.payment_intent_id)
    amount = models.BigIntegerField(help_text="Minor units.")
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=30, choices=Status.choices, default=Status.REQUIRES_PAYMENT_METHOD)
    data = models.JSONField(default=dict, help_text="What payment_intent_data asked for.")
    payment_method_types = models.JSONField(default=list)

    def __str__(self) -> str:
        return self.stripe_id

    @property
    def latest_charge(self) -> "Charge | None":
        return self.charges.order_by("id").last()


class Session(Kept):
    """A Checkout Session. Its `stripe_id` opens its page: treat it as a secret."""

    class Status(models.TextChoices):
        OPEN = "open"
        COMPLETE = "complete"
        EXPIRED = "expired"

    class PaymentStatus(models.TextChoices):
        UNPAID = "unpaid"
        PAID = "paid"
        NO_PAYMENT_REQUIRED = "no_payment_required"

    stripe_id = models.CharField(max_length=100, unique=True, default=ids.session_id)
    params = models.JSONField(help_text="What the session was created with, checked and typed.")
    line_items = models.JSONField(help_text="Stripe's line_item objects, as a list.")
    amount_total = models.BigIntegerField(help_text="Minor units.")
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    payment_status = models.CharField(
        max_length=20, choices=PaymentStatus.choices, default=PaymentStatus.UNPAID
    )
    payment_intent = models.OneToOneField(
        PaymentIntent, null=True, blank=True, on_delete=models.PROTECT, related_name="session"
    )
    expires_at = models.DateTimeField(help_text="When an open session ends (UTC).")

    class Meta(Kept.Meta):
        indexes = [
            models.Index(
                fields=["expires_at"], name="sandbox_open_sessions", condition=models.Q(status="open")
            )
        ]

    def __str__(self) -> str:
        return self.stripe_id

    @property
    def url(self) -> str | None:
        """The hosted page, while the session is open. A bearer link: never log it."""
        if self.status != self.Status.OPEN:
            return None
        return f"{settings.PUBLIC_URL}/sandbox/pay/{self.stripe_id}"

    @property
    def success_url(self) -> str:
        """Where the customer goes after paying, with Stripe's placeholder filled in."""
        return str(self.params["success_url"]).replace("{CHECKOUT_SESSION_ID}", self.stripe_id)

    @property
    def cancel_url(self) -> str | None:
        """Where the customer goes who does not want to pay; None: nowhere."""
        url: str | None = self.params.get("cancel_url")
        return url and url.replace("{CHECKOUT_SESSION_ID}", self.stripe_id)


class Charge(Kept):
    """One attempt to pay."""

    class Status(models.TextChoices):
        SUCCEEDED = "succeeded"
        PENDING = "pending"
        FAILED = "failed"

    stripe_id = models.CharField(max_length=64, unique=True, default=ids.charge_id)
    payment_intent = models.ForeignKey(PaymentIntent, on_delete=models.PROTECT, related_name="charges")
    status = models.CharField(max_length=10, choices=Status.choices)
    payment_method_id = models.CharField(max_length=64, default=ids.payment_method_id)
    payment_method_type = models.CharField(max_length=30)
    failure = models.JSONField(null=True, blank=True, help_text="Why it failed: code, decline_code, message.")

    def __str__(self) -> str:
        return self.stripe_id

    @property
    def amount_refunded(self) -> int:
        """What went back to the customer, in minor units: refunds that failed do not count."""
        standing = self.refunds.exclude(status=Refund.Status.FAILED)
        return standing.aggregate(total=models.Sum("amount"))["total"] or 0


class Refund(Kept):
    class Status(models.TextChoices):
        PENDING = "pending"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    stripe_id = models.CharField(max_length=64, unique=True, default=ids.refund_id)
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, related_name="refunds")
    amount = models.BigIntegerField(help_text="Minor units.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.SUCCEEDED)
    reason = models.CharField(max_length=50, null=True, blank=True)
    metadata = models.JSONField(default=dict)
    reference = models.CharField(max_length=50, blank=True, help_text="The card network's, once known.")

    def __str__(self) -> str:
        return self.stripe_id


class Dispute(Kept):
    class Status(models.TextChoices):
        NEEDS_RESPONSE = "needs_response"
        WON = "won"
        LOST = "lost"

    stripe_id = models.CharField(max_length=64, unique=True, default=ids.dispute_id)
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, related_name="disputes")
    amount = models.BigIntegerField(help_text="Minor units.")
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.NEEDS_RESPONSE)
    balance_transactions = models.JSONField(default=list, help_text="Money that moved because of it.")

    def __str__(self) -> str:
        return self.stripe_id


class Event(Kept):
    """What happened, as it is told to webhooks; the object in it stays as it was then."""

    stripe_id = models.CharField(max_length=64, unique=True, default=ids.event_id)
    type = models.CharField(max_length=100, db_index=True)
    session = models.ForeignKey(Session, on_delete=models.PROTECT, related_name="events")
    data = models.JSONField(help_text="`object`, and `previous_attributes` of an update.")
    request_id = models.CharField(max_length=64, null=True, blank=True)
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.type} {self.stripe_id}"


class Delivery(models.Model):
    """One event on its way to the webhook endpoint, with its tries."""

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
    """How new events are delivered: a single row."""

    class Mode(models.TextChoices):
        NORMAL = "normal", "normal"
        TWICE = "twice", "every event twice"
        LATE = "late", "five seconds late"
        OUT_OF_ORDER = "out_of_order", "last event first"
        DROP = "drop", "not at all"

    mode = models.CharField(max_length=20, choices=Mode.choices, default=Mode.NORMAL)

    def __str__(self) -> str:
        return self.mode


class IdempotentRequest(models.Model):
    """A POST with an Idempotency-Key, and the answer that is given again for the same key."""

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

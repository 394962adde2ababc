"""What the sandbox keeps: Stripe's side of the wire. Rows hold state; objects/ turns them into Stripe's JSON."""

from datetime import datetime, timedelta

from django.conf import settings
from django.core.signing import Signer
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac

from stripe_sandbox import ids

TIME_TO_RESPOND = timedelta(days=9)
"""How long the merchant has to send evidence against a dispute."""

receipts = Signer(salt="sandbox.receipts")
"""Makes the addresses of receipts out of charges' ids, so that knowing the one does not open the other."""


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
        CANCELED = "canceled"

    stripe_id = models.CharField(max_length=64, unique=True, default=ids.payment_intent_id)
    amount = models.BigIntegerField(help_text="Minor units.")
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=30, choices=Status.choices, default=Status.REQUIRES_PAYMENT_METHOD)
    data = models.JSONField(default=dict, help_text="What payment_intent_data asked for.")
    payment_method_types = models.JSONField(default=list)
    canceled_at = models.DateTimeField(null=True, blank=True)
    cancellation_reason = models.CharField(max_length=30, null=True, blank=True)

    def __str__(self) -> str:
        return self.stripe_id

    @property
    def latest_charge(self) -> "Charge | None":
        return self.charges.order_by("id").last()

    @property
    def client_secret(self) -> str:
        """What a page would confirm the intent with. Stripe.js cannot be pointed here, but clients keep it."""
        secret = salted_hmac("sandbox.client_secret", self.stripe_id).hexdigest()
        return f"{self.stripe_id}_secret_{secret[:25]}"


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
    card = models.JSONField(null=True, blank=True, help_text="The card and its risk; none: Visa 4242.")
    balance_transaction = models.JSONField(null=True, blank=True, help_text="What it brought in.")

    def __str__(self) -> str:
        return self.stripe_id

    @property
    def amount_refunded(self) -> int:
        """What went back to the customer, in minor units: refunds that failed do not count."""
        return sum(refund.amount for refund in self.refunds.all() if refund.status != Refund.Status.FAILED)

    @property
    def amount_disputed(self) -> int:
        """What disputes took away, in minor units: not what was won back, asked about, or blocked in time."""
        return sum(dispute.amount for dispute in self.disputes.all() if dispute.takes_money)

    @property
    def refundable(self) -> int:
        """What is left of it, in minor units, after refunds and disputes."""
        if self.status != self.Status.SUCCEEDED:
            return 0
        return max(0, self.payment_intent.amount - self.amount_refunded - self.amount_disputed)

    @property
    def is_disputed(self) -> bool:
        return bool(self.disputes.all())

    @property
    def review_id(self) -> str | None:
        """The id of its newest review (prv_…), if there is one."""
        reviews = sorted(self.reviews.all(), key=lambda review: review.pk)
        return reviews[-1].stripe_id if reviews else None

    @property
    def receipt_url(self) -> str:
        """The receipt for the customer. A bearer link: never log it."""
        return f"{settings.PUBLIC_URL}/sandbox/receipt/{receipts.sign(self.stripe_id)}"


class Refund(Kept):
    FRAUDULENT = "fraudulent"
    """The reason that says that the payment was fraud."""

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
    balance_transaction = models.JSONField(null=True, blank=True, help_text="What it took.")
    failure_balance_transaction = models.JSONField(null=True, blank=True, help_text="What came back.")

    def __str__(self) -> str:
        return self.stripe_id


class Dispute(Kept):
    class Status(models.TextChoices):
        NEEDS_RESPONSE = "needs_response"
        WON = "won"
        LOST = "lost"
        WARNING_NEEDS_RESPONSE = "warning_needs_response"
        WARNING_CLOSED = "warning_closed"
        PREVENTED = "prevented"

    class CaseType(models.TextChoices):
        CHARGEBACK = "chargeback", "chargeback"
        INQUIRY = "inquiry", "inquiry"
        RESOLUTION = "resolution", "prevented: the customer is paid back"
        BLOCK = "block", "prevented: blocked, nothing is paid back"

    stripe_id = models.CharField(max_length=64, unique=True, default=ids.dispute_id)
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, related_name="disputes")
    amount = models.BigIntegerField(help_text="Minor units.")
    status = models.CharField(max_length=30, choices=Status.choices, default=Status.NEEDS_RESPONSE)
    reason = models.CharField(max_length=40, default="fraudulent", db_default="fraudulent")
    case_type = models.CharField(
        max_length=20,
        choices=CaseType.choices,
        default=CaseType.CHARGEBACK,
        db_default=CaseType.CHARGEBACK,
    )
    balance_transactions = models.JSONField(default=list, help_text="Money that moved because of it.")

    def __str__(self) -> str:
        return self.stripe_id

    @property
    def is_open(self) -> bool:
        return self.status in {self.Status.NEEDS_RESPONSE, self.Status.WARNING_NEEDS_RESPONSE}

    @property
    def due_by(self) -> datetime:
        """When evidence must be in, if it is open (UTC)."""
        return self.created_at + TIME_TO_RESPOND

    @property
    def takes_money(self) -> bool:
        """Whether its amount is withdrawn now. The customer's inquiry, and a block, move nothing."""
        if self.status == self.Status.PREVENTED:
            return self.case_type == self.CaseType.RESOLUTION
        return self.status in {self.Status.NEEDS_RESPONSE, self.Status.LOST}


class EarlyFraudWarning(Kept):
    """The card's issuer suspects fraud: a dispute may follow."""

    stripe_id = models.CharField(max_length=64, unique=True, default=ids.warning_id)
    charge = models.OneToOneField(Charge, on_delete=models.PROTECT, related_name="warning")
    fraud_type = models.CharField(max_length=40)
    actionable = models.BooleanField(default=True, help_text="A refund could still forestall a dispute.")

    def __str__(self) -> str:
        return self.stripe_id


class Review(Kept):
    """Radar asks the merchant's people to look at a payment."""

    class Closed(models.TextChoices):
        APPROVED = "approved"
        REFUNDED = "refunded"
        REFUNDED_AS_FRAUD = "refunded_as_fraud"
        DISPUTED = "disputed"

    stripe_id = models.CharField(max_length=64, unique=True, default=ids.review_id)
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, related_name="reviews")
    closed_reason = models.CharField(
        max_length=30, choices=Closed.choices, blank=True, help_text="None: it is open."
    )

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
    """How new events are delivered, and how the next calls of the API fail: a single row."""

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

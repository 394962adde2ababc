"""Sessions, payment intents, charges and refunds."""

from django.conf import settings
from django.core.signing import Signer
from django.db import models
from django.utils.crypto import salted_hmac

from stripe_sandbox import ids
from stripe_sandbox.models.base import Kept

receipts = Signer(salt="sandbox.receipts")
"""Signs charges' ids for the URLs of receipts, so that an id alone does not open one."""


class PaymentIntent(Kept):
    """The payment of one session, created when the customer first submits the page."""

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
        """The last attempt to pay, if there is one."""
        return self.charges.order_by("id").last()

    @property
    def client_secret(self) -> str:
        """The secret with which a page would confirm the intent. Stripe.js cannot use it here, but clients store it."""
        secret = salted_hmac("sandbox.client_secret", self.stripe_id).hexdigest()
        return f"{self.stripe_id}_secret_{secret[:25]}"


class Session(Kept):
    """A Checkout Session. Its `stripe_id` opens its page, so it is a secret."""

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
    # A session has none until the customer first submits the page, as at Stripe.
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
        """The URL of its page while the session is open. It is a secret: never log it."""
        if self.status != self.Status.OPEN:
            return None
        return f"{settings.PUBLIC_URL}/sandbox/pay/{self.stripe_id}"

    @property
    def success_url(self) -> str:
        """Where the customer goes after paying, with Stripe's placeholder filled in."""
        return str(self.params["success_url"]).replace("{CHECKOUT_SESSION_ID}", self.stripe_id)

    @property
    def cancel_url(self) -> str | None:
        """Where the customer goes without paying, if anywhere."""
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
        """The sum of all refunds that did not fail, in minor units."""
        return sum(refund.amount for refund in self.refunds.all() if refund.status != Refund.Status.FAILED)

    @property
    def amount_disputed(self) -> int:
        """The sum of all disputes whose money is withdrawn now, in minor units."""
        return sum(dispute.amount for dispute in self.disputes.all() if dispute.takes_money)

    @property
    def refundable(self) -> int:
        """The amount left after refunds and disputes, in minor units."""
        if self.status != self.Status.SUCCEEDED:
            return 0
        return max(0, self.payment_intent.amount - self.amount_refunded - self.amount_disputed)

    @property
    def is_disputed(self) -> bool:
        """Whether it has a dispute, open or closed."""
        return bool(self.disputes.all())

    @property
    def review_id(self) -> str | None:
        """The id of its newest review (prv_…), if it has one."""
        reviews = sorted(self.reviews.all(), key=lambda review: review.pk)
        return reviews[-1].stripe_id if reviews else None

    @property
    def receipt_url(self) -> str:
        """The URL of the customer's receipt. It is a secret: never log it."""
        return f"{settings.PUBLIC_URL}/sandbox/receipt/{receipts.sign(self.stripe_id)}"


class Refund(Kept):
    """Money that goes back to the customer."""

    FRAUDULENT = "fraudulent"
    """The reason of a refund because of fraud."""

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

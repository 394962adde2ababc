"""Payments, their intents, and the refunds that were asked for."""

from django.conf import settings
from django.db import models

from payments.models.columns import api_key_name, by_beginning, unique_by_beginning, uuid7
from payments.status import Status
from payments.stripe.currencies import format_amount


class Payment(models.Model):
    """A ride's payment. Its status follows from `facts`; nothing but `record.apply_facts` writes either."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    ride_id = models.CharField("ride", max_length=128)
    user_id = models.CharField("user", max_length=128)
    # Stripe's largest amount has twelve digits, which do not fit into 32 bits.
    amount = models.BigIntegerField(help_text="In minor units of the currency, as Stripe counts them.")
    currency = models.CharField(max_length=3, help_text="ISO 4217, lower case.")
    description = models.CharField(max_length=500)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING)
    facts = models.JSONField(default=dict, help_text="What is known of the payment; it only grows.")
    attention = models.CharField(
        max_length=200, help_text="Why a person should look at it, by words of `Attention`."
    )

    # NULL and not empty: the column is unique, and several payments have no session yet.
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
    api_key = api_key_name()
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
            by_beginning("ride_id", name="payment_by_ride"),
            by_beginning("user_id", name="payment_by_user"),
            # Lists and cursors have this order, so that a page reads no more rows than it shows.
            models.Index(fields=["-created_at", "-id"], name="payment_by_age"),
            models.Index(fields=["status", "-created_at"], name="payment_by_status"),
            models.Index(fields=["currency", "-created_at"], name="payment_by_currency"),
            models.Index(
                fields=["-created_at"], name="payments_to_look_at", condition=~models.Q(attention="")
            ),
        ]
        constraints = [
            unique_by_beginning("session_id", name="payment_by_session"),
            # NULL equals nothing: payments without a key may be many.
            models.UniqueConstraint(fields=["idempotency_key", "api_key"], name="one_payment_a_key"),
            # Not a condition on the status: docs/decisions/0003-a-ride-is-claimed.md.
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
    # NULL says that another integration made it, so that its refunds and disputes are ignored at once.
    payment = models.ForeignKey(Payment, null=True, on_delete=models.PROTECT, related_name="intents")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [unique_by_beginning("intent_id", name="intent_by_id")]

    def __str__(self) -> str:
        return self.intent_id


class RefundRequest(models.Model):
    """A refund that was asked for: kept before Stripe is called, so that a retry is the same refund."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refund_requests")
    amount = models.BigIntegerField(help_text="In minor units of the payment's currency.")
    is_full = models.BooleanField(help_text="Asked for without an amount: all that was left.")
    api_key = api_key_name()
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

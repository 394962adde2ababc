"""Disputes, early fraud warnings and reviews."""

from datetime import datetime

from django.db import models

from stripe_sandbox import ids
from stripe_sandbox.models.base import Kept
from stripe_sandbox.models.payments import Charge
from stripe_sandbox.timing import TIME_TO_RESPOND


class Dispute(Kept):
    """A customer's dispute, inquiry, or prevented dispute."""

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
        """Whether the merchant can still respond."""
        return self.status in {self.Status.NEEDS_RESPONSE, self.Status.WARNING_NEEDS_RESPONSE}

    @property
    def due_by(self) -> datetime:
        """When evidence is due, if the dispute is open (UTC)."""
        return self.created_at + TIME_TO_RESPOND

    @property
    def takes_money(self) -> bool:
        """Whether its amount is withdrawn now. Inquiries and blocked disputes withdraw nothing."""
        if self.status == self.Status.PREVENTED:
            return self.case_type == self.CaseType.RESOLUTION
        return self.status in {self.Status.NEEDS_RESPONSE, self.Status.LOST}


class EarlyFraudWarning(Kept):
    """The card issuer's suspicion of fraud. A dispute may follow."""

    stripe_id = models.CharField(max_length=64, unique=True, default=ids.warning_id)
    charge = models.OneToOneField(Charge, on_delete=models.PROTECT, related_name="warning")
    fraud_type = models.CharField(max_length=40)
    actionable = models.BooleanField(default=True, help_text="A refund could still forestall a dispute.")

    def __str__(self) -> str:
        return self.stripe_id


class Review(Kept):
    """Radar's request that the merchant's staff look at a payment."""

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

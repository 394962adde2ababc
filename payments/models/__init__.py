"""What is kept of payments: payments, their intents, refunds, events and changes of statuses."""

from payments.models.columns import uuid7
from payments.models.events import FetchedUntil, StatusChange, WebhookEvent
from payments.models.payment import Intent, Payment, RefundRequest, WaitingRefund

__all__ = [
    "FetchedUntil",
    "Intent",
    "Payment",
    "RefundRequest",
    "StatusChange",
    "WaitingRefund",
    "WebhookEvent",
    "uuid7",
]

"""The sandbox's tables: Stripe's side of the wire. Rows hold state, and objects/ renders them as Stripe's JSON."""

from stripe_sandbox.models.base import Kept
from stripe_sandbox.models.delivery import Behaviour, Delivery, Event, IdempotentRequest
from stripe_sandbox.models.disputes import Dispute, EarlyFraudWarning, Review
from stripe_sandbox.models.payments import Charge, PaymentIntent, Refund, Session, receipts

__all__ = [
    "Behaviour",
    "Charge",
    "Delivery",
    "Dispute",
    "EarlyFraudWarning",
    "Event",
    "IdempotentRequest",
    "Kept",
    "PaymentIntent",
    "Refund",
    "Review",
    "Session",
    "receipts",
]

"""What can happen to a payment, and the status in which it has to end.

The statuses are written down here once more and by hand: they are what the service is measured against.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from payments.tests import stripe_events as stripe

AMOUNT = 1250


@dataclass(frozen=True)
class Order:
    """A payment as its backend knows it, and Stripe: the attributes of the service's own model that events name."""

    pk: Any
    user_id: str
    ride_id: str
    session_id: str
    payment_url: str
    amount: int = AMOUNT
    currency: str = "usd"


@dataclass(frozen=True)
class Events:
    """Stripe sends one or more events."""

    make: Callable[[Order], list[dict[str, Any]]]


@dataclass(frozen=True)
class Page:
    """The customer chooses an outcome on the sandbox's hosted page, which then sends its own events."""

    outcome: str


@dataclass(frozen=True)
class Cancel:
    """The backend cancels the payment."""


@dataclass(frozen=True)
class Refund:
    """The backend refunds a part, once the payment is `paid`."""

    amount: int


Step = Events | Page | Cancel | Refund


@dataclass(frozen=True)
class Scenario:
    name: str
    weight: int
    steps: tuple[Step, ...]
    final: str


PAID = Events(stripe.paid)
DECLINED = Events(stripe.declined)
DELAYED = Events(stripe.paid_later)
EXPIRED = Events(stripe.expired)
REFUNDED_A_PART = Events(lambda order: stripe.refunded(order, "re_1", amount=500, total=500))
REFUNDED_THE_REST = Events(lambda order: stripe.refunded(order, "re_2", amount=750, total=AMOUNT))
REFUNDED_ALL = Events(lambda order: stripe.refunded(order, "re_1", amount=AMOUNT, total=AMOUNT))
REFUND_FAILED = Events(lambda order: stripe.refund_failed(order, "re_1", amount=AMOUNT))


def _disputed(ends: str | None = None) -> Events:
    return Events(lambda order: stripe.disputed(order, "du_1", ends=ends))


SCENARIOS = (
    Scenario("left alone", 2, (), "pending"),
    Scenario("paid", 8, (PAID,), "succeeded"),
    Scenario("declined", 2, (DECLINED,), "failed"),
    Scenario("declined, then paid", 4, (DECLINED, PAID), "succeeded"),
    Scenario("delayed", 1, (DELAYED,), "processing"),
    Scenario("delayed, then confirmed", 3, (DELAYED, Events(stripe.confirmed)), "succeeded"),
    Scenario("delayed, then bounced", 2, (DELAYED, Events(stripe.bounced)), "failed"),
    Scenario("expired", 2, (EXPIRED,), "expired"),
    Scenario("declined, then expired", 1, (DECLINED, EXPIRED), "expired"),
    Scenario("refunded in part", 2, (PAID, REFUNDED_A_PART), "partially_refunded"),
    Scenario("refunded in two parts", 2, (PAID, REFUNDED_A_PART, REFUNDED_THE_REST), "refunded"),
    Scenario("refund failed", 1, (PAID, REFUNDED_ALL, REFUND_FAILED), "succeeded"),
    Scenario("disputed", 1, (PAID, _disputed()), "disputed"),
    Scenario("dispute won", 2, (PAID, _disputed("won")), "succeeded"),
    Scenario("dispute lost", 1, (PAID, _disputed("lost")), "charged_back"),
    Scenario(
        "canceled at Stripe", 1, (Events(lambda o: [stripe.event(o, "payment_intent.canceled")]),), "canceled"
    ),
    Scenario("canceled by the backend", 1, (Cancel(),), "canceled"),
    Scenario("paid on the page", 2, (Page("pay"),), "succeeded"),
    Scenario("declined, then paid on the page", 1, (Page("decline"), Page("pay")), "succeeded"),
    Scenario("paid on the page, then refunded", 1, (Page("pay"), Refund(500)), "partially_refunded"),
)

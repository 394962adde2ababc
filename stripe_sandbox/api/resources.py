"""The kinds of objects that the API retrieves and lists."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import QuerySet

from stripe_sandbox.api.listing import created, page
from stripe_sandbox.api.views import Call
from stripe_sandbox.errors import no_such
from stripe_sandbox.models import (
    Charge,
    Delivery,
    Dispute,
    EarlyFraudWarning,
    Event,
    Kept,
    PaymentIntent,
    Refund,
    Review,
    Session,
)
from stripe_sandbox.objects.charge import render_charge
from stripe_sandbox.objects.dispute import render_dispute
from stripe_sandbox.objects.event import render_event
from stripe_sandbox.objects.fraud import render_review, render_warning
from stripe_sandbox.objects.payment_intent import render_payment_intent
from stripe_sandbox.objects.refund import render_refund
from stripe_sandbox.objects.session import render_session

Row = TypeVar("Row", bound=Kept)
Rendered = dict[str, Any]


@dataclass(frozen=True)
class Resource(Generic[Row]):
    """A kind of object: its rows, and how to render them.

    `path_name` is Stripe's name of its id in a path: `/v1/payment_intents/{intent}`.
    """

    kind: str
    url: str
    path_name: str
    # Lazy, and copied by each filter: one queryset serves the whole process.
    rows: QuerySet[Row]
    render: Callable[[Row], Rendered]

    def get(self, stripe_id: str) -> Row:
        """Return the row of an id in the path; raise ApiError (404)."""
        return self._find(stripe_id, param=self.path_name, status=404)

    def named(self, stripe_id: str, *, param: str) -> Row:
        """Return the row of an id in a parameter; raise ApiError (400)."""
        return self._find(stripe_id, param=param, status=400)

    def _find(self, stripe_id: str, *, param: str, status: int) -> Row:
        row = self.rows.filter(stripe_id=stripe_id).first()
        if row is None:
            raise no_such(self.kind, stripe_id, param=param, status=status)
        return row

    def retrieve(self, call: Call) -> Rendered:
        """Return the object whose id is in the path."""
        return self.render(self.get(call.stripe_id))

    def list(self, call: Call, **filters: str) -> Rendered:
        """Return a page. `filters` names the field that each parameter selects by."""
        asked = {field: call.params[name] for name, field in filters.items() if name in call.params}
        return self.page(call, self.rows.filter(**asked))

    def page(self, call: Call, rows: QuerySet[Row]) -> Rendered:
        """Return a page of these rows."""
        rows = created(rows, call.params.get("created"))
        return page(rows, call.params, kind=self.kind, url=self.url, render=self.render)


def _render_event(event: Event) -> Rendered:
    pending = event.deliveries.filter(state=Delivery.State.PENDING).exists()
    return render_event(event, pending_webhooks=int(pending))


_OF_CHARGE = "charge__payment_intent"

SESSIONS = Resource(
    "checkout.session",
    "/v1/checkout/sessions",
    "session",
    Session.objects.select_related("payment_intent"),
    render_session,
)
PAYMENT_INTENTS = Resource(
    "payment_intent", "/v1/payment_intents", "intent", PaymentIntent.objects.all(), render_payment_intent
)
CHARGES = Resource(
    "charge", "/v1/charges", "charge", Charge.objects.select_related("payment_intent"), render_charge
)
REFUNDS = Resource(
    "refund", "/v1/refunds", "refund", Refund.objects.select_related(_OF_CHARGE), render_refund
)
DISPUTES = Resource(
    "dispute", "/v1/disputes", "dispute", Dispute.objects.select_related(_OF_CHARGE), render_dispute
)
EARLY_FRAUD_WARNINGS = Resource(
    "early_fraud_warning",
    "/v1/radar/early_fraud_warnings",
    "early_fraud_warning",
    EarlyFraudWarning.objects.select_related(_OF_CHARGE),
    render_warning,
)
REVIEWS = Resource(
    "review", "/v1/reviews", "review", Review.objects.select_related(_OF_CHARGE), render_review
)
EVENTS = Resource("event", "/v1/events", "id", Event.objects.all(), _render_event)

"""The kinds of objects that the API retrieves and lists."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import QuerySet

from .api import Call
from .errors import no_such
from .listing import created, page
from .models import Charge, Delivery, Dispute, Event, Kept, PaymentIntent, Refund, Session
from .objects.charge import render_charge
from .objects.dispute import render_dispute
from .objects.event import render_event
from .objects.payment_intent import render_payment_intent
from .objects.refund import render_refund
from .objects.session import render_session

Row = TypeVar("Row", bound=Kept)
Rendered = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Resource(Generic[Row]):
    """One kind of object: where its rows come from, and how they are shown."""

    kind: str
    url: str
    rows: QuerySet[Row]
    render: Callable[[Row], Rendered]

    def get(self, stripe_id: str, *, param: str = "id") -> Row:
        """Return the row; raise ApiError, a 404 if the id stood in the path."""
        row = self.rows.filter(stripe_id=stripe_id).first()
        if row is None:
            raise no_such(self.kind, stripe_id, param=param)
        return row

    def retrieve(self, call: Call) -> Rendered:
        return self.render(self.get(call.stripe_id))

    def list(self, call: Call, **filters: str) -> Rendered:
        """Return a page; `filters` says which parameter selects by which field."""
        asked = {field: call.params[name] for name, field in filters.items() if name in call.params}
        return self.page(call, self.rows.filter(**asked))

    def page(self, call: Call, rows: QuerySet[Row]) -> Rendered:
        rows = created(rows, call.params.get("created"))
        return page(rows, call.params, kind=self.kind, url=self.url, render=self.render)


def _render_event(event: Event) -> Rendered:
    pending = event.deliveries.filter(state=Delivery.State.PENDING).exists()
    return render_event(event, pending_webhooks=int(pending))


SESSIONS = Resource(
    kind="checkout.session",
    url="/v1/checkout/sessions",
    rows=Session.objects.select_related("payment_intent"),
    render=render_session,
)
PAYMENT_INTENTS = Resource(
    kind="payment_intent",
    url="/v1/payment_intents",
    rows=PaymentIntent.objects.all(),
    render=render_payment_intent,
)
CHARGES = Resource(
    kind="charge",
    url="/v1/charges",
    rows=Charge.objects.select_related("payment_intent"),
    render=render_charge,
)
REFUNDS = Resource(
    kind="refund",
    url="/v1/refunds",
    rows=Refund.objects.select_related("charge__payment_intent"),
    render=render_refund,
)
DISPUTES = Resource(
    kind="dispute",
    url="/v1/disputes",
    rows=Dispute.objects.select_related("charge__payment_intent"),
    render=render_dispute,
)
EVENTS = Resource(kind="event", url="/v1/events", rows=Event.objects.all(), render=_render_event)

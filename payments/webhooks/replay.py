"""Applying stored events once more: which ones, and in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from payments.models import Intent, Payment, StatusChange, WebhookEvent
from payments.webhooks import apply

BATCH_SIZE = 100
"""Events a transaction, so that the locks of a long replay are short."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which stored events; what is not given selects nothing away. Times are when we received them (UTC)."""

    event_ids: Sequence[str] = ()
    failed: bool = False
    types: Sequence[str] = ()
    payment_id: UUID | None = None
    ride_id: str | None = None
    user_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None

    def is_everything(self) -> bool:
        """Return whether nothing was given at all."""
        return not any(vars(self).values())


def select(selection: Selection) -> list[str]:
    """Return the ids of the selected events, in the order in which they came."""
    given = {
        "event_id__in": selection.event_ids,
        "type__in": selection.types,
        "received_at__gte": selection.since,
        "received_at__lt": selection.until,
    }
    events = WebhookEvent.objects.filter(**{name: value for name, value in given.items() if value})
    if selection.failed:
        events = events.filter(_unfinished())
    events = _of_payments(events, selection)
    return list(events.order_by("pk").values_list("event_id", flat=True)[: selection.limit])


def replay(
    event_ids: Sequence[str],
    *,
    dry_run: bool = False,
    cause: StatusChange.Cause = StatusChange.Cause.REPLAY,
) -> Iterator[list[apply.EventResult]]:
    """Apply stored events batch by batch, yielding what became, or in a dry run what would become, of each."""
    for batch in (event_ids[n : n + BATCH_SIZE] for n in range(0, len(event_ids), BATCH_SIZE)):
        if dry_run:
            yield apply.preview(WebhookEvent.objects.filter(event_id__in=batch).order_by("pk"))
        else:
            yield apply.apply(batch, cause=cause)


def _unfinished() -> Q:
    """Select what failed, and what was stored but never applied because its process ended in between."""
    # A younger one may still be in the hands of its writer.
    abandoned = Q(state=WebhookEvent.State.RECEIVED, received_at__lt=timezone.now() - timedelta(minutes=1))
    return Q(state=WebhookEvent.State.FAILED) | abandoned


def _of_payments(events: QuerySet[WebhookEvent], selection: Selection) -> QuerySet[WebhookEvent]:
    """Keep the events of the selected payments: also those that still wait for their payment intent's payment."""
    chosen = {"pk": selection.payment_id, "ride_id": selection.ride_id, "user_id": selection.user_id}
    wanted = {field: value for field, value in chosen.items() if value is not None}
    if not wanted:
        return events
    payments = list(Payment.objects.filter(**wanted).values_list("pk", flat=True))
    intents = list(Intent.objects.filter(payment__in=payments).values_list("intent_id", flat=True))
    # Looked up before, and not in subqueries: of an OR between those no index serves either side.
    waiting = Q(state=WebhookEvent.State.PARKED, payment_intent_id__in=intents)
    return events.filter(Q(payment__in=payments) | waiting)

"""Plan deliveries, in the mode that the control page chooses."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from stripe_sandbox.events import deliveries
from stripe_sandbox.models import Behaviour, Delivery, Event
from stripe_sandbox.timing import LATE_BY

Mode = Behaviour.Mode
_ROW = 1


def get_mode() -> Mode:
    """Return how new events are delivered."""
    return Mode(Behaviour.objects.filter(pk=_ROW).values_list("mode", flat=True).first() or Mode.NORMAL)


def set_mode(*, mode: str) -> Mode:
    """Set how new events are delivered; raise ValueError for an unknown mode."""
    chosen = Mode(mode)
    Behaviour.objects.update_or_create(pk=_ROW, defaults={"mode": chosen})
    return chosen


def plan_deliveries(events: list[Event], *, now: datetime) -> None:
    """Plan the deliveries of one step's events by the current mode."""
    mode = get_mode()
    if mode == Mode.TWICE:
        events = [event for event in events for _ in range(2)]
    elif mode == Mode.OUT_OF_ORDER:
        events = events[::-1]
    dropped = mode == Mode.DROP
    Delivery.objects.bulk_create(
        Delivery(
            event=event,
            session_id=event.session_id,
            state=Delivery.State.DROPPED if dropped else Delivery.State.PENDING,
            due_at=now + LATE_BY if mode == Mode.LATE else now,
            finished_at=now if dropped else None,
            created_at=now,
        )
        for event in events
    )
    # The worker must not look before the rows are committed.
    transaction.on_commit(deliveries.wake.set)


@transaction.atomic
def send_again(*, delivery_id: int | None = None, event_id: str | None = None) -> Delivery:
    """Deliver an event once more, now. Name it by its id (evt_…) or by one of its deliveries.

    Return the new delivery; raise Event.DoesNotExist.
    """
    named = {"stripe_id": event_id} if event_id is not None else {"deliveries__pk": delivery_id}
    event = Event.objects.get(**named)
    delivery = Delivery.objects.create(event=event, session_id=event.session_id, due_at=timezone.now())
    transaction.on_commit(deliveries.wake.set)
    return delivery


@transaction.atomic
def drop(*, delivery_id: int) -> Delivery:
    """Drop a pending delivery; leave a finished one unchanged. Raise Delivery.DoesNotExist."""
    delivery = Delivery.objects.select_for_update().get(pk=delivery_id)
    if delivery.state == Delivery.State.PENDING:
        delivery.state = Delivery.State.DROPPED
        delivery.finished_at = timezone.now()
        delivery.save(update_fields=["state", "finished_at"])
    return delivery

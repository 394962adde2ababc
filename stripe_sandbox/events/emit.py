"""Emit events, in the transaction of the change that they report."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from stripe_sandbox.events import behaviour
from stripe_sandbox.models import Event, Session


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The API request that caused an event. It is empty if the customer or the time caused it."""

    request_id: str | None = None
    idempotency_key: str | None = None


AUTOMATIC = Origin()


@dataclass(frozen=True)
class Happening:
    """A new event: its type, and the object as it is now."""

    type: str
    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None

    def data(self) -> dict[str, Any]:
        """Return the event's `data`."""
        previous = self.previous_attributes
        return {"object": self.object} | ({"previous_attributes": previous} if previous else {})


def changed(type_: str, before: dict[str, Any], after: dict[str, Any]) -> Happening:
    """Return an event of a change, with the previous values of the attributes that changed."""
    previous = {name: before.get(name) for name, value in after.items() if before.get(name) != value}
    return Happening(type_, after, previous)


def emit(session: Session, happenings: list[Happening], *, origin: Origin = AUTOMATIC) -> None:
    """Keep the events of one step, in order, and plan their deliveries. Call it in the step's transaction."""
    # Else a crash in between could leave a change of which no event ever comes.
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("Emit events in the transaction of their cause.")
    now = timezone.now()
    events = Event.objects.bulk_create(
        Event(
            type=happening.type,
            session=session,
            data=happening.data(),
            request_id=origin.request_id,
            idempotency_key=origin.idempotency_key,
            created_at=now,
        )
        for happening in happenings
    )
    behaviour.plan_deliveries(events, now=now)

"""What is known of the payments that events name: read in one statement whatever the number of events, and locked.

Everything that applies events locks in one order: payments by their ids in one statement, then events, then feeds. So
no two transactions wait for each other.
"""

import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from payments import sql
from payments.models import Payment, WebhookEvent
from payments.stripe import events
from payments.stripe.events import Reference
from payments.writes import ChangedError


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of the payments that events name."""

    payments: dict[uuid.UUID, Payment]
    owners: dict[str, uuid.UUID | None] = field(default_factory=dict)
    """By session or payment intent the payment that it belongs to; None: another integration's."""
    stored: AbstractSet[str] = frozenset()
    """The ids of events that are stored already."""
    versions: dict[uuid.UUID, str] = field(default_factory=dict)
    """Of the payments as they were read: see `writes.Additions`."""

    def owner(self, reference: Reference) -> Payment | None:
        """Return the payment that an event is about: by a session that we made, by our metadata, or by its intent."""
        of_session = self._owner_of(reference.session_id)
        named = self.payments.get(reference.payment_id) if reference.payment_id else None
        return of_session or named or self._owner_of(reference.payment_intent_id)

    def belongs_to_another(self, intent_id: str | None, payment: Payment) -> bool:
        """Return whether a payment intent belongs to another payment than this one."""
        return self.owners.get(intent_id or "") not in {None, payment.pk}

    def is_foreign(self, intent_id: str) -> bool:
        """Return whether a payment intent is known to be another integration's."""
        return intent_id in self.owners and self.owners[intent_id] is None

    def _owner_of(self, name: str | None) -> Payment | None:
        key = self.owners.get(name) if name else None
        return self.payments.get(key) if key else None


def lock_stored(event_ids: Sequence[str], *, briefly: bool) -> tuple[list[WebhookEvent], Known]:
    """Lock the payments that stored events name, then the events; return the events in the order given.

    Returns what is known, too. `briefly`: see `sql.look_up`. Raises ChangedError where a copy in another version took
    the place of an event meanwhile.
    """
    events_ = WebhookEvent.objects.filter(event_id__in=event_ids).order_by("pk")
    # Which payments to lock is in the events, and payments are locked first. So read the events, and compare
    # them once they are locked.
    before = list(events_)
    known = look_up(before, lock=True, briefly=briefly)
    rows = list(events_.select_for_update(no_key=True))
    if [row.body for row in rows] != [row.body for row in before]:
        raise ChangedError
    place = {event_id: place for place, event_id in enumerate(event_ids)}
    return sorted(rows, key=lambda row: place[row.event_id]), known


def look_up(rows: Collection[WebhookEvent], *, lock: bool, briefly: bool = False) -> Known:
    """Return what is known of events and of the payments that they name. `lock`, `briefly`: see `sql.look_up`."""
    references = list(_references(rows))
    payments, owners, stored, versions = sql.look_up(
        # A payment that an event only claims is locked too: it may get a flag.
        keys={key for r in references if (key := r.payment_id or r.claimed_id)},
        names={name for r in references for name in _names(r)},
        event_ids=[row.event_id for row in rows],
        lock=lock,
        briefly=briefly,
    )
    # A payment is read as it is once it is locked, its owner's names as they were before.
    for reference in references:
        if reference.payment_id in payments:
            owners |= dict.fromkeys(_own(payments[reference.payment_id]), reference.payment_id)
    return Known(payments=payments, owners=owners, stored=stored, versions=versions)


def _references(rows: Iterable[WebhookEvent]) -> Iterator[Reference]:
    for row in rows:
        if events.is_handled(row.type):
            try:
                yield row.reference
            except events.UnreadableError:
                continue  # `matching` says what becomes of it


def _names(reference: Reference) -> set[str]:
    return {name for name in (reference.session_id, reference.payment_intent_id) if name}


def _own(payment: Payment) -> set[str]:
    """Return what is known to belong to a payment without asking the database."""
    own = {payment.session_id, payment.payment_intent_id, *payment.facts.get("paid", {})}
    return {name for name in own if name}

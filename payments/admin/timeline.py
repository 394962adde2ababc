"""A payment's story in order: what Stripe said, when it was heard, and what the user was told."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from payments.admin.readonly import instant
from payments.currencies import format_amount
from payments.models import Payment, RefundRequest, StatusChange, WebhookEvent

LATE = timedelta(minutes=1)
"""From then on, an event's own time is shown beside the time it was received."""

_TONES = {"failed": "danger", "parked": "warning", "received": "warning"}
_SAID = {
    "completed_unpaid": "Checkout was completed with a delayed payment method",
    "async_failed": "The delayed payment failed",
    "expired": "The Checkout session expired",
    "cancel_requested": "Cancelling the payment was asked for",
    "canceled": "The payment intent was canceled",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the story. `at` is None where only the place in the order is known, not the time."""

    kind: str
    """`payment`, `fact`, `event`, `change` or `notification`."""
    at: datetime | None
    title: str
    detail: str = ""
    url: str = ""
    tone: str = ""


def build(
    payment: Payment,
    *,
    events: Sequence[WebhookEvent],
    changes: Sequence[StatusChange],
    refunds: Sequence[RefundRequest],
) -> list[Entry]:
    """Return the story, newest last. `changes` need their `event`; bodies of events are not read.

    Facts stand at Stripe's time, which has whole seconds; everything else at the time it was written here.
    """
    timed = [
        *_facts(payment),
        *_refunds(payment, refunds),
        *_events(payment, events),
        *_changes(payment, changes),
    ]
    timed.sort(key=lambda entry: entry.at or payment.created_at)
    return [*_beginning(payment), *timed]


def read_sum(text: str) -> str:
    """Return a sum of the facts, such as `1250 usd`, as a person reads it."""
    amount, currency = text.split()
    return format_amount(int(amount), currency)


def read_change(change: StatusChange) -> str:
    """Return a change of status as a person reads it, such as `succeeded → partially refunded`."""
    return f"{change.get_before_display()} → {change.get_after_display()}"


def describe_deliveries(event: WebhookEvent) -> str:
    """Return how an event came, such as `delivered 2 times`, or `fetched` where it was asked for."""
    return f"delivered {times(event.deliveries)}" if event.deliveries else "fetched"


def times(count: int) -> str:
    """Return `once` or `2 times`."""
    return "once" if count == 1 else f"{count} times"


def notifications_url(user_id: str, *, seq: int | None = None) -> str:
    """Return the admin page of a user's notifications, or of the one with that number."""
    query = {"feed__user_id": user_id} | ({"seq": str(seq)} if seq else {})
    return f"{reverse('admin:notifications_notification_changelist')}?{urlencode(query)}"


def _beginning(payment: Payment) -> Iterator[Entry]:
    yield Entry(
        kind="payment",
        at=payment.created_at,
        title=f"Payment of {format_amount(payment.amount, payment.currency)} created",
        detail=f"ride {payment.ride_id}, user {payment.user_id}",
    )
    if payment.stripe_error:
        yield Entry(
            kind="payment",
            at=None,
            title="Stripe did not create the session",
            detail=payment.stripe_error,
            tone="danger",
        )
    if payment.announced_seq:
        yield _notification(payment, seq=payment.announced_seq, at=None, title="User given the Checkout link")


def _facts(payment: Payment) -> Iterator[Entry]:
    asked = payment.facts.get("asked", "")
    sums = [sum_ for intent in payment.facts.get("paid", {}).values() for sum_ in intent.items()]
    for paid, at in sums:
        differs = paid != asked
        yield Entry(
            kind="fact",
            at=datetime.fromtimestamp(at, tz=UTC),
            title=f"{read_sum(paid)} was paid",
            detail=f"{read_sum(asked)} was asked for: this pays nothing" if differs else "",
            tone="danger" if differs else "success",
        )
    for name, title in _SAID.items():
        if name in payment.facts:
            yield Entry(kind="fact", at=datetime.fromtimestamp(payment.facts[name], tz=UTC), title=title)


def _refunds(payment: Payment, refunds: Iterable[RefundRequest]) -> Iterator[Entry]:
    for refund in refunds:
        yield Entry(
            kind="payment",
            at=refund.created_at,
            title=f"Refund of {format_amount(refund.amount, payment.currency)} asked for",
            detail=_answer(refund),
        )


def _answer(refund: RefundRequest) -> str:
    if refund.refund_id:
        return f"{refund.refund_id}, first {refund.refund_status}"
    return "given up: Stripe made none" if refund.given_up_at else "not answered"


def _events(payment: Payment, events: Iterable[WebhookEvent]) -> Iterator[Entry]:
    for event in events:
        late = event.received_at - event.created_at >= LATE
        remarks = [
            event.get_state_display(),
            _known_of(payment, event.object_id),
            f"made {instant(event.created_at)}" if late else "",
            "" if event.deliveries == 1 else describe_deliveries(event),
            event.error,
        ]
        yield Entry(
            kind="event",
            at=event.received_at,
            title=event.type,
            detail=" · ".join(filter(None, remarks)),
            url=reverse("admin:payments_webhookevent_change", args=[event.pk]),
            tone=_TONES.get(event.state, ""),
        )


def _known_of(payment: Payment, object_id: str) -> str:
    """Return what is known by now of the refund or dispute an event was about."""
    if refund := payment.facts.get("refunds", {}).get(object_id):
        return f"refund of {format_amount(refund['amount'], payment.currency)}, now {refund['status']}"
    if dispute := payment.facts.get("disputes", {}).get(object_id):
        return f"dispute, now {dispute['status']}"
    return ""


def _changes(payment: Payment, changes: Iterable[StatusChange]) -> Iterator[Entry]:
    for change in changes:
        yield Entry(
            kind="change",
            at=change.created_at,
            title=read_change(change),
            detail=f"cause: {change.get_cause_display()}{_by(change)}",
            url=reverse("admin:payments_webhookevent_change", args=[change.event.pk]) if change.event else "",
        )
        if change.seq:
            yield _notification(
                payment,
                seq=change.seq,
                at=change.created_at,
                title=f"User told: {change.get_after_display()}",
            )


def _by(change: StatusChange) -> str:
    """Return which event caused a change, if one did. Of one that was pruned the id is still good to find at Stripe."""
    if change.event:
        return f", {change.event.type}"
    if change.pruned_event_id:
        return f", {change.pruned_event_type} ({change.pruned_event_id}, no longer kept)"
    return ""


def _notification(payment: Payment, *, seq: int, at: datetime | None, title: str) -> Entry:
    url = notifications_url(payment.user_id, seq=seq)
    return Entry(kind="notification", at=at, title=title, detail=f"notification {seq}", url=url)

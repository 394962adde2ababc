"""The time line of a payment: facts, events, status changes, and notifications."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from database.readonly_admin import instant
from notifications.feed import Confirmation
from payments import shown
from payments.admin import fact_entries
from payments.admin.fact_entries import Entry
from payments.admin.texts import joined, times
from payments.models import Payment, RefundRequest, StatusChange, WebhookEvent
from payments.status import Status
from payments.stripe.currencies import format_amount
from payments.writes import Change

LATE = timedelta(minutes=1)
"""How late an event is before its own time is shown beside the time it was received."""

TONES = {"failed": "danger", "parked": "warning", "received": "warning"}


def build(
    payment: Payment,
    *,
    events: Iterable[WebhookEvent],
    changes: Iterable[StatusChange],
    refunds: Iterable[RefundRequest],
    confirmed: Confirmation | None,
) -> list[Entry]:
    """Return the entries, newest last. Facts have Stripe's time, in whole seconds; all else has this service's.

    `changes` need their `event`. `confirmed`: how much of the user's feed an app is known to have received.
    """
    timed = [
        *fact_entries.entries(payment.facts),
        *_refunds(payment, refunds),
        *_events(payment, events),
        *_changes(payment, changes, confirmed),
    ]
    # The sort is stable: of equal times facts come first, then refunds, events and changes.
    timed.sort(key=lambda entry: entry.at or payment.created_at)
    return [*_beginning(payment, confirmed), *timed]


def read_change(change: StatusChange | Change) -> str:
    """Return a status change as text for people, such as `succeeded → partially refunded`."""
    return f"{Status(change.before).label} → {Status(change.after).label}"


def describe_deliveries(event: WebhookEvent) -> str:
    """Return how an event arrived: `delivered 2 times`, or `fetched` by fetch_webhooks."""
    return f"delivered {times(event.deliveries)}" if event.deliveries else "fetched"


def notifications_url(user_id: str, *, seq: int | None = None) -> str:
    """Return the URL of the admin's list of a user's notifications, or of the one with that number."""
    query = {"feed__user_id": user_id} | ({"seq": str(seq)} if seq else {})
    return f"{reverse('admin:notifications_notification_changelist')}?{urlencode(query)}"


def _beginning(payment: Payment, confirmed: Confirmation | None) -> Iterator[Entry]:
    yield Entry(
        kind="payment",
        at=payment.created_at,
        title=f"Payment of {format_amount(payment.amount, payment.currency)} created",
        detail=joined(f"ride {payment.ride_id}, user {payment.user_id}", _asked_by(payment)),
    )
    if payment.stripe_error:
        yield Entry(
            kind="payment",
            at=None,
            title="Stripe did not create the session",
            detail=payment.stripe_error,
            tone="danger",
        )
    if payment.link_seq:
        title = "Checkout link written to the user's feed"
        yield _notification(payment, seq=payment.link_seq, at=None, title=title, confirmed=confirmed)


def _refunds(payment: Payment, refunds: Iterable[RefundRequest]) -> Iterator[Entry]:
    for refund in refunds:
        yield Entry(
            kind="payment",
            at=refund.created_at,
            title=f"Refund of {format_amount(refund.amount, payment.currency)} asked for",
            detail=joined(_answer(payment, refund), _asked_by(refund)),
        )


def _asked_by(asked: Payment | RefundRequest | StatusChange) -> str:
    """Return the API key that asked for it, if one did."""
    return f"API key {asked.api_key}" if asked.api_key else ""


def _answer(payment: Payment, refund: RefundRequest) -> str:
    if refund.refund_id:
        known = payment.facts.get("refunds", {}).get(refund.refund_id)
        now = f", now {known['status']}" if known and known["status"] != refund.refund_status else ""
        return f"{refund.refund_id}, first {refund.refund_status}{now}"
    return "given up: Stripe made none" if refund.abandoned_at else "not answered"


def _events(payment: Payment, events: Iterable[WebhookEvent]) -> Iterator[Entry]:
    for event in events:
        late = event.received_at - event.created_at >= LATE
        remarks = [
            event.get_state_display(),
            event.get_reason_display() if event.reason else "",
            _known_of(payment, event.object_id),
            f"created at Stripe {instant(event.created_at)}" if late else "",
            "" if event.deliveries == 1 else describe_deliveries(event),
            event.error,
        ]
        yield Entry(
            kind="event",
            at=event.received_at,
            title=event.type,
            detail=joined(*remarks),
            url=reverse("admin:payments_webhookevent_change", args=[event.pk]),
            tone=TONES.get(event.state, ""),
        )


def _known_of(payment: Payment, object_id: str) -> str:
    """Return the current state of the refund or dispute that an event is about."""
    for refund in shown.refunds(payment.facts):
        if refund["id"] == object_id:
            amount = format_amount(refund["amount"], refund["currency"])
            return f"refund of {amount}, now {refund['status']}"
    for dispute in shown.disputes(payment.facts):
        if dispute["id"] == object_id:
            amount = format_amount(dispute["amount"], dispute["currency"])
            over = ", ".join(filter(None, [amount, dispute["reason"]]))
            return f"dispute over {over}, now {dispute['status']}"
    return ""


def _changes(
    payment: Payment, changes: Iterable[StatusChange], confirmed: Confirmation | None
) -> Iterator[Entry]:
    for change in changes:
        yield Entry(
            kind="change",
            at=change.created_at,
            title=read_change(change),
            detail=joined(f"cause: {change.get_cause_display()}{_by(change)}", _asked_by(change)),
            url=reverse("admin:payments_webhookevent_change", args=[change.event.pk]) if change.event else "",
        )
        # One that a later change of the same transaction overtook was not announced.
        if change.seq:
            title = f"Status written to the user's feed: {change.get_after_display()}"
            yield _notification(
                payment, seq=change.seq, at=change.created_at, title=title, confirmed=confirmed
            )


def _by(change: StatusChange) -> str:
    """Return the event that caused a change, if one did. A pruned event's id can still be found at Stripe."""
    if change.event:
        return f", {change.event.type}"
    if change.pruned_event_id:
        return f", {change.pruned_event_type} ({change.pruned_event_id}, no longer kept)"
    return ""


def _notification(
    payment: Payment, *, seq: int, at: datetime | None, title: str, confirmed: Confirmation | None
) -> Entry:
    detail = joined(f"notification {seq}", _arrival(seq, confirmed))
    url = notifications_url(payment.user_id, seq=seq)
    return Entry(kind="notification", at=at, title=title, detail=detail, url=url)


def _arrival(seq: int, confirmed: Confirmation | None) -> str:
    """Return whether an app is known to have received a notification, and by when."""
    if confirmed is None or confirmed.seq < seq:
        return "no app has confirmed it"
    when = f" by {instant(confirmed.at)}" if confirmed.at else ""
    return f"an app confirmed up to number {confirmed.seq}{when}"

"""Events that never arrived: Stripe is asked for all it has, and what is not stored yet is stored and applied."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from payments.models import FetchedUntil, Payment, StatusChange, WebhookEvent
from payments.stripe import events, gateway, transport
from payments.webhooks import apply, envelope, replay

OVERLAP = timedelta(hours=1)
"""How far a fetch goes back behind the one before: events are not listed at once, and clocks differ."""

_CAUSE = StatusChange.Cause.RECONCILIATION
_ROW = 1


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which events: made from `since` on and before `until` (UTC), of these types; no types: of all handled ones."""

    since: datetime
    until: datetime | None = None
    types: Sequence[str] = ()
    undelivered: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one step of a fetch came to: how many events Stripe named, and what became of those that were missing."""

    asked: int = 0
    missing: int = 0
    outcomes: Sequence[apply.EventResult] = ()
    stored_before: Sequence[apply.EventResult] = ()
    """What became of events that were here already, and had not been applied."""
    old_failures: frozenset[str] = frozenset()
    """Of those the ids of the ones that an earlier fetch has reported as failed."""
    given_up: int = 0
    """How many events waited for a payment that never became known."""


def since_last_fetch() -> datetime:
    """Return from when on events may be missing: since the last whole fetch, or else the first payment."""
    now, mark = timezone.now(), _fetched_until()
    first = Payment.objects.order_by("created_at").values_list("created_at", flat=True).first()
    return max((mark or first or now) - OVERLAP, now - gateway.EVENTS_KEPT)


def apply_unfinished(*, dry_run: bool) -> Iterator[Step]:
    """Apply stored events that failed or were left lying, and parked ones whose payment is known by now.

    Events that have waited for a payment for longer than Stripe keeps events are given up.
    """
    if not dry_run:
        yield Step(given_up=apply.give_up_waiting(before=timezone.now() - gateway.EVENTS_KEPT))
    unfinished = replay.select(replay.Selection(failed=True))
    old_failures = _reported_failures()
    waiting = apply.no_longer_waiting()
    for outcomes in replay.replay([*unfinished, *waiting], dry_run=dry_run, cause=_CAUSE):
        yield Step(stored_before=outcomes, old_failures=old_failures)


def fetch(window: Window, *, dry_run: bool) -> Iterator[Step]:
    """Store every event of the window that is not stored yet, then apply what was stored, the oldest first.

    A dry run stores nothing, and tells what would become of each. Raises StripeError after what was stored until
    then is applied.
    """
    stored: list[list[str]] = []
    trouble: gateway.StripeError | None = None
    try:
        for page in _pages(window):
            missing, malformed = _missing(page)
            if dry_run:
                yield Step(asked=len(page), missing=len(missing), outcomes=apply.preview(missing))
            else:
                envelope.store_fetched(missing)
                stored.append([row.event_id for row in missing])
                yield Step(asked=len(page), missing=len(missing))
            yield Step(missing=len(malformed), outcomes=malformed)
    except gateway.StripeError as error:
        trouble = error
    for event_ids in reversed(stored):
        yield _apply(event_ids)
    if trouble:
        raise trouble


def note_whole_fetch(*, began: datetime) -> None:
    """Let the next fetch begin where this one did, which asked for every event since the one before."""
    FetchedUntil.objects.update_or_create(pk=_ROW, defaults={"moment": began})


def _fetched_until() -> datetime | None:
    return FetchedUntil.objects.filter(pk=_ROW).values_list("moment", flat=True).first()


def _reported_failures() -> frozenset[str]:
    """Return the ids of failed events that were here when the last whole fetch began."""
    if (mark := _fetched_until()) is None:
        return frozenset()
    failed = WebhookEvent.objects.filter(state=WebhookEvent.State.FAILED, received_at__lt=mark)
    return frozenset(failed.values_list("event_id", flat=True))


def _pages(window: Window) -> Iterator[list[dict[str, object]]]:
    types = list(window.types) or events.handled_types()
    for start in range(0, len(types), gateway.TYPES_A_REQUEST):
        yield from gateway.list_events(
            types=types[start : start + gateway.TYPES_A_REQUEST],
            since=window.since,
            until=window.until,
            undelivered=window.undelivered,
        )


def _missing(page: Sequence[dict[str, object]]) -> tuple[list[WebhookEvent], list[apply.EventResult]]:
    """Return the events of a page that are not stored, oldest first, and those that are no events."""
    ids = [str(event.get("id")) for event in page]
    stored = WebhookEvent.objects.filter(event_id__in=ids)
    known = set(stored.exclude(_may_be_mended()).values_list("event_id", flat=True))
    rows, malformed = [], []
    for event_id, event in zip(reversed(ids), reversed(page), strict=True):
        if event_id in known:
            continue
        try:
            rows.append(envelope.read(json.dumps(event).encode()))
        except envelope.MalformedEvent as error:
            outcome = apply.EventResult(event_id=event_id, state=WebhookEvent.State.FAILED, error=str(error))
            malformed.append(outcome)
    return rows, malformed


def _may_be_mended() -> Q:
    """Select events for which Stripe's own copy may do more: those that failed, or came in another version."""
    in_another_version = ~Q(api_version__in=["", transport.API_VERSION])
    of_another = Q(state=WebhookEvent.State.IGNORED, reason=WebhookEvent.Reason.NOT_OURS)
    return Q(state=WebhookEvent.State.FAILED) | (of_another & in_another_version)


def _apply(event_ids: Sequence[str]) -> Step:
    outcomes = apply.apply(event_ids, cause=_CAUSE) if event_ids else []
    fetched = set(event_ids)
    return Step(
        outcomes=[outcome for outcome in outcomes if outcome.event_id in fetched],
        stored_before=[outcome for outcome in outcomes if outcome.event_id not in fetched],
    )

"""Fetch missing events: list Stripe's events, then store and apply those that never arrived."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from payments.models import FetchedUntil, Payment, StatusChange, WebhookEvent
from payments.stripe import events, gateway, transport
from payments.webhooks import apply, envelope, parked, replay

OVERLAP = timedelta(hours=1)
"""How far a fetch overlaps the one before: Stripe lists events with a delay, and clocks differ."""

_CAUSE = StatusChange.Cause.RECONCILIATION


@dataclass(frozen=True, kw_only=True)
class Window:
    """The events to fetch: created at or after `since` and before `until` (UTC). No `types`: all handled ones."""

    since: datetime
    until: datetime | None = None
    types: Sequence[str] = ()
    undelivered: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """The result of one step of a fetch."""

    listed: int = 0
    """How many events Stripe listed."""
    missing: int = 0
    """How many of them were not stored."""
    outcomes: Sequence[apply.EventResult] = ()
    stored_before: Sequence[apply.EventResult] = ()
    """The results of events that were stored already, but not applied."""


def since_last_fetch() -> datetime:
    """Return the time from which events may be missing: that of the last full fetch, or else of the first payment."""
    now, mark = timezone.now(), _fetched_until()
    first = Payment.objects.order_by("created_at").values_list("created_at", flat=True).first()
    return max((mark or first or now) - OVERLAP, now - gateway.EVENTS_KEPT)


def apply_stored(*, dry_run: bool) -> Iterator[Step]:
    """Apply stored events that failed or were never applied, and parked ones whose payment is known by now."""
    event_ids = [*replay.select(replay.Selection(failed=True)), *parked.no_longer_waiting()]
    for outcomes in replay.replay(event_ids, dry_run=dry_run, cause=_CAUSE):
        yield Step(stored_before=outcomes)


def fetch(window: Window, *, dry_run: bool) -> Iterator[Step]:
    """Store each event of the window that is missing, then apply them, oldest first.

    A dry run stores nothing and yields the expected results. Raises StripeError, after
    applying the events stored by then.
    """
    stored: list[list[str]] = []
    trouble: gateway.StripeError | None = None
    try:
        for page in _pages(window):
            missing, malformed = _missing(page)
            if dry_run:
                yield Step(listed=len(page), missing=len(missing), outcomes=apply.preview(missing))
            else:
                envelope.store_fetched(missing)
                # Stored page by page, and applied at the end: what a crash leaves behind is applied by the next
                # run.
                stored.append([row.event_id for row in missing])
                yield Step(listed=len(page), missing=len(missing))
            yield Step(missing=len(malformed), outcomes=malformed)
    except gateway.StripeError as error:
        trouble = error
    for event_ids in filter(None, reversed(stored)):
        outcomes = apply.apply(event_ids, cause=_CAUSE)
        yield Step(
            outcomes=[outcome for outcome in outcomes if outcome.event_id in event_ids],
            stored_before=[outcome for outcome in outcomes if outcome.event_id not in event_ids],
        )
    if trouble:
        raise trouble


def note_full_fetch(*, began: datetime) -> None:
    """Note that all events until `began` are fetched: the next fetch begins there."""
    # When it began: what Stripe made meanwhile may stand on no page.
    FetchedUntil.objects.update_or_create(pk=1, defaults={"moment": began})


def _fetched_until() -> datetime | None:
    return FetchedUntil.objects.values_list("moment", flat=True).first()


def reported_failures() -> set[str]:
    """Return the ids of failed events that were stored before the last full fetch began."""
    if (mark := _fetched_until()) is None:
        return set()
    failed = WebhookEvent.objects.filter(state=WebhookEvent.State.FAILED, received_at__lt=mark)
    return set(failed.values_list("event_id", flat=True))


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
    """Return a page's missing events, oldest first, and the results of those that cannot be read."""
    ids = [str(event.get("id")) for event in page]
    stored = WebhookEvent.objects.filter(event_id__in=ids)
    known = set(stored.exclude(_may_be_mended()).values_list("event_id", flat=True))
    rows, malformed = [], []
    for event_id, event in zip(reversed(ids), reversed(page), strict=True):
        if event_id in known:
            continue
        try:
            # By way of a body, so that fetched and delivered events are read by the same rules.
            rows.append(envelope.read(json.dumps(event).encode()))
        except envelope.MalformedEvent as error:
            outcome = apply.EventResult(event_id=event_id, state=WebhookEvent.State.FAILED, error=str(error))
            malformed.append(outcome)
    return rows, malformed


def _may_be_mended() -> Q:
    """Select stored events that a new copy may mend: those that failed, or came in another API version."""
    in_another_version = ~Q(api_version__in=["", transport.API_VERSION])
    not_ours = Q(state=WebhookEvent.State.IGNORED, reason=WebhookEvent.Reason.NOT_OURS)
    return Q(state=WebhookEvent.State.FAILED) | (not_ours & in_another_version)

"""Remove old webhook events, and payment intents of other integrations. Keep payments and their history for ever."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import OuterRef
from django.utils import timezone

from payments.models import Intent, StatusChange, WebhookEvent

DAYS_DEFAULT = 90
DAYS_LEAST = 30
"""Stripe keeps events for 30 days and may send them again (https://docs.stripe.com/api/events). The service would take
one that it has removed for a new one."""

PRUNED_AT_ONCE = 1000
"""Rows per transaction, so that it holds its locks briefly."""

_DONE = (WebhookEvent.State.APPLIED, WebhookEvent.State.IGNORED)


def prune(*, days: int, dry_run: bool = False) -> Iterator[int]:
    """Remove events received more than `days` days ago in batches; yield how many each removed, or would remove.

    Events that are still to be applied stay. Status changes keep their event's id and type as text. Rows are read by
    id, which needs no index of its own. Raises ValueError for fewer than DAYS_LEAST.
    """
    if days < DAYS_LEAST:
        raise ValueError(f"Events are kept for {DAYS_LEAST} days at least, not {days}.")
    before = timezone.now() - timedelta(days=days)
    last = 0
    events = WebhookEvent.objects.order_by("pk").values_list("pk", "state", "received_at")
    while rows := list(events.filter(pk__gt=last)[:PRUNED_AT_ONCE]):
        old = [(pk, state) for pk, state, received_at in rows if received_at < before]
        # Ids count up with time: where a thousand rows have no old one, hardly any follows.
        if not old:
            return
        last = rows[-1][0]
        removable = [pk for pk, state in old if state in _DONE]
        yield len(removable) if dry_run else _remove(removable)


def prune_foreign_intents(*, days: int, dry_run: bool = False) -> Iterator[int]:
    """Remove payment intents of other integrations, found more than `days` days ago, as `prune` does."""
    before = timezone.now() - timedelta(days=days)
    foreign = Intent.objects.filter(payment=None, created_at__lt=before).order_by("pk")
    if dry_run:
        yield foreign.count()
        return
    while pks := list(foreign.values_list("pk", flat=True)[:PRUNED_AT_ONCE]):
        # An event may have shown meanwhile that one is ours.
        yield Intent.objects.filter(pk__in=pks, payment=None).delete()[0]


def _remove(pks: Sequence[int]) -> int:
    """Copy the events' ids and types to their status changes, and remove them; skip what another process applies."""
    with transaction.atomic():
        rows = WebhookEvent.objects.filter(pk__in=pks, state__in=_DONE)
        locked = list(rows.select_for_update(skip_locked=True).order_by("pk").values_list("pk", flat=True))
        event = WebhookEvent.objects.filter(pk=OuterRef("event"))
        StatusChange.objects.filter(event__in=locked).update(
            pruned_event_id=event.values("event_id")[:1],
            pruned_event_type=event.values("type")[:1],
            event=None,
        )
        # Django reads the rows that it deletes. Without `only` it would read each body.
        WebhookEvent.objects.filter(pk__in=locked).only("pk").delete()
    return len(locked)

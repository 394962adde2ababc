"""How long webhook events are kept, and payment intents of other integrations. Payments, changes of status and refund requests are kept for ever."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import OuterRef
from django.utils import timezone

from payments.models import Intent, StatusChange, WebhookEvent

DAYS_DEFAULT = 90
DAYS_LEAST = 30
"""Stripe keeps events for 30 days and may send them again (https://docs.stripe.com/api/events): until then an event
that is not known is taken for a new one."""

BATCH_SIZE = 1000
"""Events a transaction, so that its locks are short."""

_DONE = (WebhookEvent.State.APPLIED, WebhookEvent.State.IGNORED)


def prune(*, days: int, dry_run: bool = False) -> Iterator[int]:
    """Remove events received more than `days` days ago, batch by batch; yield how many each took, or would take.

    Only events that were applied or ignored: what still waits for something is never removed. Changes of status keep
    their event's id and type as text. Rows are read in the order of their ids, the oldest first, which needs no index
    of its own. Raises ValueError for fewer than DAYS_LEAST.
    """
    if days < DAYS_LEAST:
        raise ValueError(f"Events are kept for {DAYS_LEAST} days at least, not {days}.")
    before = timezone.now() - timedelta(days=days)
    last = 0
    events = WebhookEvent.objects.order_by("pk").values_list("pk", "state", "received_at")
    while rows := list(events.filter(pk__gt=last)[:BATCH_SIZE]):
        old = [(pk, state) for pk, state, received_at in rows if received_at < before]
        if not old:
            return
        last = rows[-1][0]
        removable = [pk for pk, state in old if state in _DONE]
        yield len(removable) if dry_run else _remove(removable)


def prune_foreign_intents(*, days: int, dry_run: bool = False) -> Iterator[int]:
    """Remove payment intents of other integrations, found more than `days` days ago, batch by batch.

    Yields how many each took, or how many would go.
    """
    before = timezone.now() - timedelta(days=days)
    foreign = Intent.objects.filter(payment=None, created_at__lt=before).order_by("pk")
    if dry_run:
        yield foreign.count()
        return
    while pks := list(foreign.values_list("pk", flat=True)[:BATCH_SIZE]):
        # One may turn out to be ours meanwhile.
        yield Intent.objects.filter(pk__in=pks, payment=None).delete()[0]


def _remove(pks: Sequence[int]) -> int:
    """Remove events, after their changes took over what names them.

    One that is being applied again is left for the next time.
    """
    with transaction.atomic():
        rows = WebhookEvent.objects.filter(pk__in=pks, state__in=_DONE)
        locked = list(rows.select_for_update(skip_locked=True).order_by("pk").values_list("pk", flat=True))
        event = WebhookEvent.objects.filter(pk=OuterRef("event"))
        StatusChange.objects.filter(event__in=locked).update(
            pruned_event_id=event.values("event_id")[:1],
            pruned_event_type=event.values("type")[:1],
            event=None,
        )
        WebhookEvent.objects.filter(pk__in=locked).only("pk").delete()
    return len(locked)

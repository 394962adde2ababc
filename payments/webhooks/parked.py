"""Find the events that are parked until their payment is known, and give up those for which it never is."""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from payments.models import Intent, Payment, WebhookEvent

State = WebhookEvent.State


def no_longer_waiting() -> list[str]:
    """Return the ids of parked events that can be applied, because their payment is known by now."""
    return _waiting(Payment.objects.all(), Intent.objects.all())


def applicable(*, payments: AbstractSet[Any], intents: AbstractSet[str]) -> list[str]:
    """Return those of `no_longer_waiting` that name one of these payments or payment intents."""
    return _waiting(Payment.objects.filter(pk__in=payments), Intent.objects.filter(intent_id__in=intents))


def give_up_waiting(*, before: datetime) -> int:
    """Ignore events that have been parked since before this moment (UTC); return how many.

    Stripe sends no event any more that would make their payment known. One that is being applied now is left out, and
    no lock is waited for.
    """
    old = WebhookEvent.objects.filter(state=State.PARKED, received_at__lt=before)
    with transaction.atomic():
        free = list(old.select_for_update(no_key=True, skip_locked=True).values_list("pk", flat=True))
        return WebhookEvent.objects.filter(pk__in=free).update(
            state=State.IGNORED,
            reason=WebhookEvent.Reason.UNMATCHED,
            error="No payment of this service came to be known for it while Stripe keeps events.",
        )


def _waiting(payments: QuerySet[Payment], intents: QuerySet[Intent]) -> list[str]:
    """Return the ids of events that are parked for one of these, of those that are decided."""
    # Without a session an event would be parked again. An intent of another integration decides too: its events
    # are let go.
    of_payments = payments.filter(session_id__isnull=False)
    of_intents = intents.filter(Q(payment=None) | Q(payment__session_id__isnull=False)).values("intent_id")
    parked = WebhookEvent.objects.filter(state=State.PARKED).values_list("pk", "event_id").order_by()
    # With OR in place of a union no index serves either side. SQLite allows no order within the halves of a union.
    waiting = parked.filter(payment__in=of_payments).union(parked.filter(payment_intent_id__in=of_intents))
    return [event_id for _, event_id in waiting.order_by("pk")]

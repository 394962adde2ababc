"""How commands tell what became of an event."""

from django.core.management.base import BaseCommand

from payments.models import WebhookEvent
from payments.webhooks.apply import EventResult


def tell(command: BaseCommand, outcome: EventResult) -> int:
    """Write what an event changed, or why it failed; return how many statuses it changed."""
    for change in outcome.changes:
        ride = f"payment {change.payment.pk}, ride {change.payment.ride_id}"
        command.stdout.write(f"{ride}: {change.before} → {change.after} ({outcome.event_id})")
    if outcome.state == WebhookEvent.State.FAILED:
        command.stderr.write(f"{outcome.event_id}: {outcome.error}")
    return len(outcome.changes)

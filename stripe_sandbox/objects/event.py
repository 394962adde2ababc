"""Render events. Source: https://docs.stripe.com/api/events/object."""

from typing import Any

from stripe_sandbox.api.parameters import API_VERSION
from stripe_sandbox.models import Event
from stripe_sandbox.timing import seconds


def render_event(event: Event, *, pending_webhooks: int) -> dict[str, Any]:
    """Return the event as JSON values. `pending_webhooks`: how many deliveries are still to succeed."""
    return {
        "id": event.stripe_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": seconds(event.created_at),
        "data": event.data,
        "livemode": False,
        "pending_webhooks": pending_webhooks,
        "request": {"id": event.request_id, "idempotency_key": event.idempotency_key},
        "type": event.type,
    }

from typing import Any

from payments.sandbox.models import Event
from payments.sandbox.objects.times import seconds
from payments.sandbox.parameters import API_VERSION


def render_event(event: Event, *, pending_webhooks: int) -> dict[str, Any]:
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

"""Prometheus counters of payments."""

from prometheus_client import Counter

# Not by type: an endpoint may be set to all of Stripe's hundreds.
EVENTS = Counter(
    "payments_webhook_events_total",
    "Webhook deliveries, by the event's resulting state and reason.",
    ["state", "reason"],
)
REFUSED = Counter(
    "payments_webhooks_refused_total",
    "Webhook deliveries that were refused, by why: unsigned, unreadable, forged, of another time, malformed.",
    ["reason"],
)
CREATED = Counter("payments_created_total", "Requests for payments, by Stripe's answer.", ["outcome"])
# By the field alone: a value is whatever Stripe sends, and each label stays in memory.
UNKNOWN_VALUES = Counter(
    "payments_unknown_values_total",
    "Unknown values from Stripe, counted once per payment, by the field that held them.",
    ["field"],
)

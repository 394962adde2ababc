"""Counters of the money side, for Prometheus."""

from prometheus_client import Counter

EVENTS = Counter(
    "payments_webhook_events_total",
    "Webhook deliveries, by what became of the event, and why.",
    ["state", "reason"],
)
REFUSED = Counter(
    "payments_webhooks_refused_total",
    "Webhook deliveries that were refused, by why: forged, malformed, not applied, or the database was away.",
    ["reason"],
)
CREATED = Counter("payments_created_total", "Payments asked for, by what Stripe said.", ["outcome"])
UNKNOWN_VALUES = Counter(
    "payments_unknown_values_total",
    "Values of Stripe's that no table has, when a payment first bears them, by where they stood.",
    ["field"],
)

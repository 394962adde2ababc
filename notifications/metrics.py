"""Count sockets, notifications and failures of this process, for Prometheus."""

from prometheus_client import Counter, Gauge

CONNECTIONS = Gauge("notifications_connections", "WebSocket connections that are open.")
REGISTRATIONS = Counter(
    "notifications_registrations",
    "Registrations, by outcome: registered, unauthorized, limited, unavailable.",
    ["outcome"],
)
SENT = Counter(
    "notifications_sent",
    "Notifications sent to sockets, by path: wake, gap (a wake came out of order), resume, redelivery (to a "
    "plain client) or reconciler. Many by the reconciler mean that the channel layer does not deliver.",
    ["path"],
)
for _path in ("wake", "gap", "resume", "redelivery", "reconciler"):
    SENT.labels(_path)  # so that each is exported from the start
CLOSED = Counter("notifications_closed", "Connections that the service ended, by close code.", ["code"])
WAKE_FAILURES = Counter(
    "notifications_wake_failures", "Wakes that could not be published. The reconciler delivers them."
)
SUBSCRIBE_FAILURES = Counter(
    "notifications_layer_subscribe_failures",
    "Failed attempts to join or leave groups of the channel layer.",
)
STALLS = Counter(
    "notifications_layer_stalls",
    "Reconnections because the channel layer accepted messages and delivered none. The reconciler delivers meanwhile.",
)
READ_FAILURES = Counter("notifications_read_failures", "Failed reads of feeds. The reconciler repeats them.")
DROPPED = Counter(
    "notifications_layer_dropped",
    "Messages of the channel layer that were dropped because they arrived faster than they are read. The reconciler "
    "delivers them.",
)
REFUSED = Counter(
    "notifications_wakes_refused",
    "Messages of the channel layer that were dropped, by reason: unreadable, seal (forged or changed), epoch (the "
    "number is of another epoch). The reconciler delivers.",
    ["reason"],
)
SPLIT = Counter(
    "notifications_layer_split",
    "Reconnections because processes that share the channel layer did not hear each other. The reconciler delivers "
    "meanwhile.",
)
KEY_FAILURES = Counter(
    "notifications_token_keys_failures",
    "Failed fetches of the keys of NOTIFICATIONS_TOKEN_JWKS_URL. The keys from before stay.",
)

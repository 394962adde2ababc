"""What the process counts of its sockets, for Prometheus."""

from prometheus_client import Counter, Gauge

CONNECTIONS = Gauge("notifications_connections", "WebSocket connections that are open.")
REGISTRATIONS = Counter(
    "notifications_registrations",
    "Registrations asked for, by outcome: registered, unauthorized, unavailable.",
    ["outcome"],
)
SENT = Counter(
    "notifications_sent",
    "Notifications sent to sockets, by what brought them: wake, gap (a wake that came out of turn), resume, "
    "offer (what no plain client is known to have got) or reconciler. Many by the reconciler mean that the channel "
    "layer is ill.",
    ["path"],
)
CLOSED = Counter("notifications_closed", "Connections that the service ended, by close code.", ["code"])
WAKE_FAILURES = Counter(
    "notifications_wake_failures", "Wakes that the channel layer did not take. The reconciler repairs them."
)
SUBSCRIBE_FAILURES = Counter(
    "notifications_layer_subscribe_failures",
    "Tries to join or leave groups that the channel layer did not take.",
)
STALLS = Counter(
    "notifications_layer_stalls",
    "Times that the channel layer took messages and brought none, and was connected to anew. The reconciler "
    "delivers meanwhile.",
)
READ_FAILURES = Counter(
    "notifications_read_failures", "Reads of feeds that the database refused. The reconciler repeats them."
)
DROPPED = Counter(
    "notifications_layer_dropped",
    "Messages of the channel layer that came faster than they are read, and were dropped. The reconciler repairs "
    "them.",
)
REFUSED = Counter(
    "notifications_wakes_refused",
    "Messages of the channel layer that were dropped, by reason: unreadable, seal (not ours, or changed), epoch (of "
    "numbers that were given again). The reconciler delivers.",
    ["reason"],
)
SPLIT = Counter(
    "notifications_layer_split",
    "Times that the process did not hear others that use the channel layer as well, and connected anew. The reconciler "
    "delivers meanwhile.",
)

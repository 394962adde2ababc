"""What `serve` grants to clients, beside the setting WEBSOCKET_PING_SECONDS."""

STOP_SECONDS = 30.0
"""How long a stop may take. What has no answer by then gets none."""
QUIET_SECONDS = 0.5
"""How long no HTTP request may be open before a stop goes on: one may just be arriving."""
FAREWELL_SECONDS = 5.0
"""How long a client may take to answer a close frame, or to read what was sent before it."""
BACKLOG_MAX_BYTES = 1024 * 1024
"""How much may wait to be written to one WebSocket. What it asks for itself, such as pongs, counts."""
REQUEST_SECONDS = 60
"""How long an HTTP request may take to arrive."""
BACKLOG = 1024
"""Connections that may wait to be accepted."""

"""What `serve` grants to clients, beside the setting WEBSOCKET_PING_SECONDS."""

STOP_SECONDS = 30.0
"""How long a stop may take. What has no answer by then gets none."""
QUIET_SECONDS = 0.5
"""How long no HTTP request may be open before a stop goes on: one may just be arriving."""
FAREWELL_SECONDS = 5.0
"""How long a client may take to answer a close frame, or to read what was sent before it."""
BACKLOG_MAX_BYTES = 1024 * 1024
"""How much may wait to be written to one WebSocket. What it asks for itself, such as pongs, counts."""
HEAD_MAX_BYTES = 32 * 1024
"""Of a request line and header fields together."""
FIELDS_MAX = 100
"""Header fields of a request."""
PIECE_BYTES = 4096
"""How much is parsed at once of what arrived: no client keeps the others waiting for more than that."""
KEEP_ALIVE_SECONDS = 75
"""How long a connection may say nothing between two requests: longer than the 60 s of load balancers, which reuse it."""
FRAGMENTS_MAX = 16
"""Frames of one message."""
FRAMES_A_SECOND = 50
"""Of one WebSocket, of any kind, in the long run."""
FRAMES_AT_ONCE = 500
"""What a WebSocket may send at once, after it sent nothing for a while."""
REQUEST_SECONDS = 60
"""How long an HTTP request may take to arrive."""
BACKLOG = 1024
"""Connections that may wait to be accepted."""

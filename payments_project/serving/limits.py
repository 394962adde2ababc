"""The limits of `serve`, beside the setting WEBSOCKET_PING_SECONDS."""

STOP_SECONDS = 30.0
"""A stop may take this long. Requests without an answer by then get none."""
QUIET_SECONDS = 0.5
"""A stop goes on once no HTTP request has been open for this long: one may just be arriving."""
FAREWELL_SECONDS = 5.0
"""A client may take this long to answer a close frame, or to read the frames before it."""
BACKLOG_MAX_BYTES = 1024 * 1024
"""This much may wait to be written to one WebSocket, pongs included."""
HEAD_MAX_BYTES = 32 * 1024
"""The request line and the header fields may have this many bytes together."""
FIELDS_MAX = 100
"""A request may have this many header fields."""
PIECE_BYTES = 4096
"""This much is parsed at once, so that no client holds up the others for long."""
KEEP_ALIVE_SECONDS = 75
"""A connection may be idle this long between two requests: longer than the 60 s of load balancers, which reuse it."""
FRAGMENTS_MAX = 16
"""One message may have this many frames."""
FRAMES_A_SECOND = 50
"""Frames of any kind that one WebSocket may send in the long run."""
FRAMES_AT_ONCE = 500
"""Frames that a WebSocket may send at once after a quiet time."""
REQUEST_SECONDS = 60
"""An HTTP request may take this long to arrive."""
BACKLOG = 1024
"""Connections that may wait to be accepted."""

"""What both servers hold clients to, and how long they take to end."""

from notifications.protocol import MESSAGE_MAX_BYTES

MESSAGE_MAX = MESSAGE_MAX_BYTES
BACKLOG = 1024
"""Connections that may wait to be accepted."""
UNSENT_MAX = 1024 * 1024
"""Bytes that may wait for a client that does not read."""
LINGER_SECONDS = 2.0
"""How long a client that was closed for not reading has to read why, before its connection is cut."""
REQUEST_SECONDS = 20.0
"""How long requests that are under way when the process is told to end may take."""
HANDSHAKE_SECONDS = 30
"""How long a client may take to send the whole of a request."""

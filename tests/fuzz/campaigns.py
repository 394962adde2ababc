"""All campaigns: what each sends, how much of it at a time, and which tables it may write to."""

from collections.abc import Callable
from typing import NamedTuple

from tests.fuzz import (
    crowd,
    frames,
    hoarders,
    http_nonsense,
    logins,
    openapi,
    tokens,
    webhooks,
    websocket_nonsense,
)

_MONEY = ("payments_", "notifications_", "sandbox_")


class Campaign(NamedTuple):
    """`stores`: how the names of the tables begin that it may write to."""

    name: str
    run: Callable
    briefly: int
    """How many inputs there are in `make test`."""
    at_length: int
    """How many there are in a round of `make fuzz`."""
    stores: tuple[str, ...] = ()
    warm_up: int = 1
    """After how many such rounds the process has as much memory as it will ever have."""


CAMPAIGNS = [
    Campaign("requests by the description", openapi.run, 100, 210, _MONEY),
    Campaign("frames", frames.run, 300, 1000),
    Campaign("signed events", webhooks.run, 150, 400, _MONEY),
    Campaign("HTTP that is none", http_nonsense.run, 300, 1500),
    Campaign("WebSocket that is none", websocket_nonsense.run, 300, 1500),
    Campaign("forged tokens and keys", tokens.run, 200, 800),
    Campaign("connections from one place", crowd.run, 300, 5000, _MONEY, warm_up=6),
    Campaign("memory hoarded", hoarders.run, 50, 300),
    Campaign("logins", logins.run, 40, 200, ("payments_webhookevent",)),
]

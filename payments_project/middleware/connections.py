"""Bound how many WebSockets one address has at once in this process."""

from collections import Counter
from typing import Any

from access import limits
from access.addresses import client_address
from access.refusals import Kind, refused
from payments_project.middleware import handshakes


class Connections:
    """ASGI middleware for WebSockets: answers a handshake beyond the limit with 429, before it is accepted."""

    def __init__(self, application: Any) -> None:
        self._application = application
        # Of this process: a count in Redis would keep the connections of a process that died (docs/decisions/0048).
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a connection, or refuse it. Servers that send no answer then send 403."""
        address = client_address(scope)
        if self._open[address] >= limits.at_once("connections-per-address"):
            refused(Kind.LIMIT, scope)
            text = f"Too many connections of one address. Try again in {limits.RETRY_SECONDS} seconds."
            retry = str(limits.RETRY_SECONDS)
            await handshakes.refuse(scope, receive, send, status=429, text=text, retry_after=retry)
            return
        self._open[address] += 1
        try:
            await self._application(scope, receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

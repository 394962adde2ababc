"""Count the HTTP requests that have no answer yet."""

import asyncio
from typing import Any

from notifications.delivery import hub
from payments_project.serving.limits import QUIET_SECONDS

STEP_SECONDS = 0.05


class Requests:
    """ASGI middleware: counts open requests, and sends `Connection: close` while the process drains."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._open = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request; pass other scopes on."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def send_last(message: Any) -> None:
            if message["type"] == "http.response.start" and hub.is_draining():
                # The listening socket is closed: a client that reuses this connection would be cut off in the middle.
                message = message | {"headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        self._open += 1
        try:
            await self._application(scope, receive, send_last)
        finally:
            self._open -= 1

    async def answered(self) -> None:
        """Return once no request has been open for QUIET_SECONDS."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        while loop.time() - since < QUIET_SECONDS:
            await asyncio.sleep(STEP_SECONDS)
            if self._open:
                since = loop.time()

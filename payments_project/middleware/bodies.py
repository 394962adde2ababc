"""Bound the bodies of HTTP requests, counted as they arrive, on any ASGI server."""

import asyncio
from typing import Any

from django.conf import settings

from payments_project.middleware.refusing import Refusal, answer

SUM_MAX_BYTES = 64 * 1024 * 1024
"""A process holds this many bytes of bodies. If more arrives, it refuses the request that began to arrive first."""

TOO_LARGE = Refusal(413, "too_large", "Send a body of at most 1 MiB.")
TOO_MANY_FIELDS = Refusal(400, "invalid_request", "Send at most 1,000 parameters.")
BUSY = Refusal(503, "busy", "Too much is being sent at once. Send the same request again in a moment.")

_GONE = {"type": "http.disconnect"}


class Bodies:
    """ASGI middleware: passes no more of a body to the application than the bounds allow."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self.most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        # A dictionary keeps the order: its first request is the one that has been arriving for longest. That one gives
        # way, so that a stranger who holds bodies back does not keep out Stripe (docs/decisions/0032).
        self._arriving: dict[_Request, None] = {}
        self._sum = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or refuse it."""
        if refusal := self._refusal(scope):
            await answer(refusal, receive=receive, send=send)
            return
        request = _Request(receive, send, self)
        try:
            await self._application(scope, request.receive, request.send)
        finally:
            self.forget(request)
        # An answer that has begun cannot be replaced by another one.
        if request.refusal and not request.is_answered:
            await answer(request.refusal, receive=receive, send=send, is_whole=request.is_whole)

    def _refusal(self, scope: Any) -> Refusal | None:
        """Return the refusal of a request by its head.

        Too many fields are refused here, because Django's error page would count them and fail.
        """
        declared = dict(scope["headers"]).get(b"content-length", b"")
        # What is declared may be missing or wrong: what arrives is counted in any case.
        if declared.isdigit() and int(declared) > self.most:
            return TOO_LARGE
        fields = scope.get("query_string", b"").count(b"&") + 1
        return TOO_MANY_FIELDS if fields > settings.DATA_UPLOAD_MAX_NUMBER_FIELDS else None

    def make_room(self, request: "_Request", size: int) -> None:
        """Count bytes of a request that arrived. While there are too many, refuse the request that is slowest."""
        self._sum += size
        if request.is_whole:
            self._arriving.pop(request, None)
        else:
            self._arriving.setdefault(request)
        while self._sum > SUM_MAX_BYTES and not request.refusal:
            slowest = next(iter(self._arriving), request)
            self.forget(slowest)
            slowest.refuse(BUSY)

    def forget(self, request: "_Request") -> None:
        """Stop counting a request."""
        self._arriving.pop(request, None)
        self._sum -= request.size


class _Request:
    """One request as the application sees it. `size` bytes of its body are held."""

    def __init__(self, receive: Any, send: Any, bodies: Bodies) -> None:
        self._receive = receive
        self._send = send
        self._bodies = bodies
        self._wait: asyncio.Timeout | None = None
        self.size = 0
        self.is_whole = self.is_answered = False
        self.refusal: Refusal | None = None

    async def receive(self) -> Any:
        """Return the next message. After a refusal it is a disconnect."""
        if self.refusal:
            return _GONE
        try:
            async with asyncio.timeout(None) as self._wait:
                message = await self._receive()
        except TimeoutError:  # `refuse` ended the wait
            return _GONE
        finally:
            self._wait = None
        if message["type"] == "http.request":
            self._take(message)
        return _GONE if self.refusal else message

    async def send(self, message: Any) -> None:
        """Pass on the application's answer, unless the request is refused."""
        if not self.refusal:
            self.is_answered = True
            await self._send(message)

    def refuse(self, refusal: Refusal) -> None:
        """Refuse the request, also while the application waits for more of it."""
        self.refusal = refusal
        self.size = 0  # it is no longer counted, and the end of the request subtracts what is here
        if self._wait:
            self._wait.reschedule(asyncio.get_running_loop().time())

    def _take(self, message: Any) -> None:
        size = len(message.get("body", b""))
        self.size += size
        self.is_whole = not message.get("more_body", False)
        self._bodies.make_room(self, size)
        if self.size > self._bodies.most:
            self._bodies.forget(self)
            self.refuse(TOO_LARGE)

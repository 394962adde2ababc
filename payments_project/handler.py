"""Answer each ASGI request of Django's in one thread, from start to end.

Django's own handler changes to a thread and back for each middleware that is not async, and starts a thread for each
request. This one reads the body on the event loop, and changes to a thread once.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_started
from django.urls import set_script_prefix

from payments_project.middleware.prefix import path_below

THREADS = 100
"""Requests that are answered at once. Most wait, for the database or for Stripe; others wait for their turn."""
_POOLS = {
    # A process that is busy is alive, and says what it is busy with.
    ("/healthz", "/readyz", "/metrics"): ThreadPoolExecutor(4, thread_name_prefix="health"),
    # A request that waits for the sandbox holds a thread: with the same ones both would wait for each other.
    ("/v1/", "/v2/"): ThreadPoolExecutor(THREADS, thread_name_prefix="sandbox"),
    ("",): ThreadPoolExecutor(THREADS, thread_name_prefix="django"),
}
"""Threads by how the paths of their requests begin. The first that fits is taken."""


class Handler(ASGIHandler):
    """Django's ASGI handler, with synchronous middleware and views, as under WSGI.

    A client that hangs up does not end its request. Streamed answers are read in the thread, as fast as the client
    reads.
    """

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 Django's signature
        """Load the middleware for calls in a thread."""
        super().load_middleware(is_async=False)

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        loop, path = asyncio.get_running_loop(), path_below(scope)
        pool = next(pool for beginnings, pool in _POOLS.items() if path.startswith(beginnings))

        def send_from_thread(message: dict[str, Any]) -> None:
            asyncio.run_coroutine_threadsafe(send(message), loop).result()

        for message in await loop.run_in_executor(pool, self._answer, scope, body, send_from_thread):
            await send(message)

    def _answer(self, scope: Any, body: Any, send: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
        """Return the messages of the answer. A streamed answer is sent piece by piece; then return no messages."""
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response: Any = refusal if request is None else self.get_response(request)
        try:
            messages = _messages(response)
            if not response.streaming:
                return list(messages)
            for message in messages:
                send(message)
            return []
        finally:
            response.close()
            body.close()


def _messages(response: Any) -> Iterator[dict[str, Any]]:
    headers = [(name.encode("ascii"), value.encode("latin1")) for name, value in response.items()]
    cookies = [cookie.output(header="").strip() for cookie in response.cookies.values()]
    headers += [(b"Set-Cookie", cookie.encode("ascii")) for cookie in cookies]
    yield {"type": "http.response.start", "status": response.status_code, "headers": headers}
    for part in response if response.streaming else ():
        yield {"type": "http.response.body", "body": part, "more_body": True}
    yield {"type": "http.response.body", "body": b"" if response.streaming else response.content}

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

from access import hashers, logins
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
_LOGINS = ThreadPoolExecutor(hashers.AT_ONCE, thread_name_prefix="logins")
"""Threads for requests that hash a password. They take no more than their number of cores and of connections."""
LOGINS_MAX = 32
"""Such requests that a process takes at once, those that wait among them."""
REFUSED_SECONDS = 1.0
"""After which a refused login is answered. Whoever tries again and again then costs less."""
_REFUSED = (429, 503)
_HASHING = ("/admin/login", "/admin/password_change", "/admin/auth/user")


def _pool(scope: Any) -> ThreadPoolExecutor:
    path = path_below(scope)
    if scope["method"] == "POST" and path.startswith(_HASHING):
        return _LOGINS
    return next(pool for beginnings, pool in _POOLS.items() if path.startswith(beginnings))


class Handler(ASGIHandler):
    """Django's ASGI handler, with synchronous middleware and views, as under WSGI.

    A client that hangs up does not end its request. Streamed answers are read in the thread, as fast as the client
    reads.
    """

    _logins = 0

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 Django's signature
        """Load the middleware for calls in a thread."""
        super().load_middleware(is_async=False)

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        loop = asyncio.get_running_loop()

        def send_from_thread(message: dict[str, Any]) -> None:
            asyncio.run_coroutine_threadsafe(send(message), loop).result()

        pool = _pool(scope)
        if pool is _LOGINS:
            messages = await self._login(scope, body, send_from_thread)
        else:
            messages = await loop.run_in_executor(pool, self._answer, scope, body, send_from_thread)
        for message in messages:
            await send(message)

    async def _login(
        self, scope: Any, body: Any, send: Callable[[dict[str, Any]], None]
    ) -> list[dict[str, Any]]:
        """Answer a request that may hash a password, unless too many do. Let who is refused wait a little for it."""
        if self._logins >= LOGINS_MAX:
            body.close()
            messages = [*_messages(logins.busy())]
        else:
            self._logins += 1
            try:
                loop = asyncio.get_running_loop()
                messages = await loop.run_in_executor(_LOGINS, self._answer, scope, body, send)
            finally:
                self._logins -= 1
        if messages and messages[0]["status"] in _REFUSED:
            await asyncio.sleep(REFUSED_SECONDS)
        return messages

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

"""Answer each ASGI request of Django's in one thread, from start to end.

Django's own handler changes to a thread and back for each middleware that is not async, and starts a thread for each
request. This one reads the body on the event loop, and changes to a thread once.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_started
from django.urls import set_script_prefix

from access.staff import hashers, logins
from payments.stripe.deadline import REQUEST_SECONDS, within
from payments_project.middleware.prefix import path_below
from payments_project.middleware.refusing import Refusal, answer
from payments_project.postgresql import reserve

THREADS = 100
"""This many requests of a kind are answered at the same time. Most wait for the database or for Stripe."""
WAIT_SECONDS = 5.0
"""A request waits this long for a thread. Then it is refused, while its caller still waits for the answer."""
BUSY = Refusal(503, "busy", "The service is busy. Send the same request again in a moment.")
_POOLS = {
    # A process that is busy is alive, and says what it is busy with.
    ("/healthz", "/readyz", "/metrics"): ThreadPoolExecutor(4, thread_name_prefix="health"),
    # While Stripe says nothing, requests that ask it hold all threads. Stripe's own requests do not wait for that.
    ("/webhooks/",): ThreadPoolExecutor(THREADS, thread_name_prefix="webhooks"),
    # A request that waits for the sandbox holds a thread: with the same ones both would wait for each other.
    ("/v1/", "/v2/"): ThreadPoolExecutor(THREADS, thread_name_prefix="sandbox"),
    ("",): ThreadPoolExecutor(THREADS, thread_name_prefix="django", initializer=reserve.leave_kept),
}
"""Threads by how the paths of their requests begin. The first that fits is taken."""
_LOGINS = ThreadPoolExecutor(hashers.AT_ONCE, thread_name_prefix="logins")
"""Threads for requests that hash a password. They take no more than their number of cores and of connections."""
LOGINS_MAX = 32
"""Such requests that a process takes at once, those that wait among them."""
REFUSED_SECONDS = 1.0
"""A refused login is answered after this time. Clients that try again and again cost less then."""
_REFUSED = (429, 503)
_HASHING = ("/admin/login", "/admin/password_change", "/admin/auth/user")
_Work = Callable[[], list[dict[str, Any]]]


def _pool(scope: Any) -> ThreadPoolExecutor:
    path = path_below(scope)
    if scope["method"] == "POST" and path.startswith(_HASHING):
        return _LOGINS
    return next(pool for beginnings, pool in _POOLS.items() if path.startswith(beginnings))


async def _in_thread(pool: ThreadPoolExecutor, work: _Work) -> list[dict[str, Any]] | None:
    """Return what `work` returns; None if no thread took it up in time."""
    job = pool.submit(work)
    answering = asyncio.wrap_future(job)
    # Not wait_for(), which would cancel the future, and lose the answer of a thread that has begun.
    done, _ = await asyncio.wait({answering}, timeout=WAIT_SECONDS)
    # cancel() fails if a thread has taken the work up at this moment: then its answer is awaited.
    return None if not done and job.cancel() else await answering


class Handler(ASGIHandler):
    """Django's ASGI handler, with synchronous middleware and views, as under WSGI.

    A client that hangs up does not end its request. Streamed answers are read in the thread, as fast as the client
    reads.
    """

    _logins = 0

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 Django's signature
        """Load the middleware for calls in a thread."""
        # The async form would change to a thread and back for each middleware (docs/decisions/0040).
        super().load_middleware(is_async=False)

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        try:
            # Read here, so that a slow client holds no thread.
            body = await self.read_body(receive)
        except RequestAborted:
            return
        loop, arrived = asyncio.get_running_loop(), time.monotonic()

        def send_from_thread(message: dict[str, Any]) -> None:
            # The thread waits for each piece, so that a slow client does not fill the memory with a streamed answer.
            asyncio.run_coroutine_threadsafe(send(message), loop).result()

        def work() -> list[dict[str, Any]]:
            with within(REQUEST_SECONDS - (time.monotonic() - arrived)):  # the wait for a thread counts
                return self._answer(scope, body, send_from_thread)

        pool = _pool(scope)
        is_login = pool is _LOGINS
        messages = await (self._log_in(work) if is_login else _in_thread(pool, work))
        if messages is None:  # no thread has taken it up
            body.close()
            if not is_login:
                await answer(BUSY, receive=receive, send=send, is_whole=True)
                return
            messages = [*_messages(logins.busy(scope))]
        if is_login and messages and messages[0]["status"] in _REFUSED:
            await asyncio.sleep(REFUSED_SECONDS)
        for message in messages:
            await send(message)

    async def _log_in(self, work: _Work) -> list[dict[str, Any]] | None:
        """Do the work of a request that may hash a password. Return None if too many wait."""
        # Counted on the event loop: a queue of the threads would have no end.
        if self._logins >= LOGINS_MAX:
            return None
        self._logins += 1
        try:
            return await _in_thread(_LOGINS, work)
        finally:
            self._logins -= 1

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
            if request is not None:  # it is part of cycles, with its user and messages, and holds the body
                vars(request).clear()


def _messages(response: Any) -> Iterator[dict[str, Any]]:
    headers = [(name.encode("ascii"), value.encode("latin1")) for name, value in response.items()]
    cookies = [cookie.output(header="").strip() for cookie in response.cookies.values()]
    headers += [(b"Set-Cookie", cookie.encode("ascii")) for cookie in cookies]
    yield {"type": "http.response.start", "status": response.status_code, "headers": headers}
    for part in response if response.streaming else ():
        yield {"type": "http.response.body", "body": part, "more_body": True}
    yield {"type": "http.response.body", "body": b"" if response.streaming else response.content}

"""One writer of webhooks in each process: what comes while it writes is written together, in one commit.

At low load that is one event, which waits for nothing. Each is answered after the commit that it is in. Where the writer's
transaction stalls, for a lock that somebody holds, another writer takes what came after. That much waits is no reason: two
writers make smaller transactions than one, and more of them, and write less in a second.

The writer is a thread fed by a queue. A hop to one of asgiref's threads and back costs several times as much, most of
all at low load, where nothing of it is in the processor's caches.
"""

import asyncio
import queue
import threading
import time
from contextlib import suppress
from weakref import WeakSet

from django.db import OperationalError, connection

from payments.models import WebhookEvent
from payments.webhooks import apply
from payments.webhooks.apply import Outcome

STALL_SECONDS = 0.25
"""A transaction that takes longer has stalled. One of TOGETHER_MAX events takes a fraction of it."""
WRITERS_MAX = 4
TOGETHER_MAX = 64
"""Events in one transaction, so that its locks are short."""
WAITING_MAX_BYTES = 64 * 1024 * 1024
"""Of bodies that wait to be written. Stripe delivers again what finds no room."""
WAIT_SECONDS = 8.0
"""How long an event waits. Stripe gives up after 10 seconds."""
IDLE_SECONDS = 1.0
"""After so long without an event the thread ends, and its connection goes back to the pool, which looks after it."""

_Waiting = tuple[WebhookEvent, "asyncio.Future[Outcome]"]

_queue: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
_lock = threading.Lock()
_writers: dict[threading.Thread, float | None] = {}
"""When the transaction of each began, in seconds of the monotonic clock; None between two."""
_watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
"""The event loops that look for stalls at present, because something waits."""
_waiting_bytes = 0


async def take_in(row: WebhookEvent) -> Outcome:
    """Store and apply a delivered event; return what became of it, once that is committed.

    It is taken in also where who asks is cancelled. Raises OperationalError where the database does not answer in
    time, or too much waits for it already.
    """
    global _waiting_bytes  # noqa: PLW0603
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Outcome] = loop.create_future()
    too_long = OperationalError("The database took too long.")
    clock = loop.call_later(WAIT_SECONDS, _settle, outcome, too_long)
    try:
        with _lock:
            if _waiting_bytes > WAITING_MAX_BYTES:
                raise OperationalError("Too many events wait for the database.")
            _waiting_bytes += len(row.body)
            _queue.put((row, outcome))
        _start_writer()
        if loop not in _watched:
            _watched.add(loop)
            loop.call_later(STALL_SECONDS / 2, _watch, loop)
        return await outcome
    finally:
        clock.cancel()


def _watch(loop: asyncio.AbstractEventLoop) -> None:
    """Look for stalls as long as something waits."""
    if _queue.empty():
        _watched.discard(loop)
        return
    _start_writer()
    loop.call_later(STALL_SECONDS / 2, _watch, loop)


def _start_writer() -> None:
    """Start one unless there is one whose transaction has not stalled."""
    with _lock:
        if len(_writers) < WRITERS_MAX and all(map(_has_stalled, _writers.values())):
            writer = threading.Thread(target=_write, name="webhooks", daemon=True)
            _writers[writer] = None
            writer.start()


def _has_stalled(began: float | None) -> bool:
    return began is not None and time.monotonic() - began >= STALL_SECONDS


def _write() -> None:
    """Write what waits, until nothing came for a while, or another writer is at it again."""
    try:
        while True:
            with suppress(queue.Empty):
                _write_together(_queue.get(timeout=IDLE_SECONDS))
                if _is_superfluous():
                    return
                continue
            with _lock:
                if _queue.empty():
                    del _writers[threading.current_thread()]
                    return
    finally:
        with _lock:
            _writers.pop(threading.current_thread(), None)  # whatever ended it, another can start
        connection.close()


def _is_superfluous() -> bool:
    """Give up the place of this thread, if there is a writer beside it that has not stalled; tell whether."""
    me = threading.current_thread()
    with _lock:
        if all(_has_stalled(began) for writer, began in _writers.items() if writer is not me):
            return False
        del _writers[me]
        return True


def _write_together(first: _Waiting) -> None:
    """Write what waits in one transaction; where that fails each by itself, those last that have to wait for a lock."""
    together = _rest(first)
    if not together:
        return
    try:
        _take_in(together, together=len(together) > 1)
    except apply.NotTogetherError:
        last = []
        for waiting in together:
            try:
                _take_in([waiting], together=True)
            except apply.NotTogetherError:
                last.append(waiting)
        for waiting in last:
            _take_in([waiting], together=False)


def _rest(first: _Waiting) -> list[_Waiting]:
    """Return what waits, without those that have been told that it took too long: Stripe delivers them again."""
    global _waiting_bytes  # noqa: PLW0603
    taken = [first]
    with suppress(queue.Empty):
        while len(taken) < TOGETHER_MAX:
            taken.append(_queue.get_nowait())
    with _lock:
        _waiting_bytes -= sum(len(row.body) for row, _ in taken)
    return [(row, outcome) for row, outcome in taken if outcome.cancelled() or not outcome.done()]


def _take_in(waiting: list[_Waiting], *, together: bool) -> None:
    """Write events in one transaction, and answer each. Raises webhooks.NotTogetherError, with none answered."""
    results: list[Outcome | Exception]
    me = threading.current_thread()
    _writers[me] = time.monotonic()
    try:
        results = [*apply.take_in([row for row, _ in waiting], together=together)]
    except apply.NotTogetherError:
        raise
    except Exception as error:  # noqa: BLE001 whatever it is, each request answers it
        results = [error] * len(waiting)
    finally:
        _writers[me] = None
        if connection.errors_occurred:
            connection.close()  # the pool looks whether it is still good
    for (_, outcome), result in zip(waiting, results, strict=True):
        with suppress(RuntimeError):  # its event loop has ended
            outcome.get_loop().call_soon_threadsafe(_settle, outcome, result)


def _settle(outcome: "asyncio.Future[Outcome]", result: Outcome | Exception) -> None:
    if outcome.done():  # nobody waits for it any more
        return
    if isinstance(result, Exception):
        outcome.set_exception(result)
    else:
        outcome.set_result(result)

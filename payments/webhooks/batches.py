"""Write the webhooks that arrive while others are written together, in one commit.

One thread of each process writes. At low load a batch is one event, which waits for nothing. Each request is answered
after the commit that its event is in. Where the writer's transaction stalls, for a lock that another process holds, a
second writer takes the events behind it. A long queue is no reason for one: two writers make more and smaller
transactions, and write fewer events a second.

The writer has a thread of its own, and not the event loop's batcher: Django's connections belong to threads, and the
writer's goes back to the pool when its thread ends. The threads of an executor would keep theirs
(docs/decisions/0016-one-writer-of-webhooks.md).
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from weakref import WeakSet

from django.db import OperationalError, connection

from payments.models import WebhookEvent
from payments.webhooks import ingest
from payments.webhooks.apply import EventResult

STALL_SECONDS = 0.25
"""A transaction that takes longer has stalled. One of BATCH_MAX events takes a fraction of it."""
WRITERS_MAX = 4
BATCH_MAX = 64
"""Events in one transaction, so that its locks are short."""
WAITING_MAX_BYTES = 64 * 1024 * 1024
"""Of bodies that wait to be written. Stripe delivers again what finds no room."""
WAIT_SECONDS = 8.0
"""How long an event waits. Stripe gives up after 10 seconds."""
IDLE_SECONDS = 1.0
"""How long a writer waits for an event before it ends. Then its connection goes back to the pool, which checks it."""

_Waiting = tuple[WebhookEvent, "asyncio.Future[EventResult]"]
_Work = Callable[[list[WebhookEvent]], Sequence[EventResult | None]]

# Its `put` never waits, so that the event loop may call it.
_queue: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
_lock = threading.Lock()
_writers: dict[threading.Thread, float | None] = {}
"""When the transaction of each began, in seconds of the monotonic clock; None between two."""
_watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
"""The event loops that look for stalls at present, because an event waits."""
# The queue knows how many events wait, and not how large they are.
_waiting_bytes = 0


async def submit(row: WebhookEvent) -> EventResult:
    """Store and apply a delivered event; return what became of it, once that is committed.

    The event is written even if the caller is cancelled. Raises OperationalError where the database does not answer in
    time, or too many events wait for it already.
    """
    global _waiting_bytes  # noqa: PLW0603
    loop = asyncio.get_running_loop()
    result: asyncio.Future[EventResult] = loop.create_future()
    too_long = OperationalError("The database took too long.")
    clock = loop.call_later(WAIT_SECONDS, _settle, result, too_long)
    try:
        with _lock:
            if _waiting_bytes > WAITING_MAX_BYTES:
                raise OperationalError("Too many events wait for the database.")
            _waiting_bytes += len(row.body)
            _queue.put((row, result))
        # The event is in the queue by now. A writer that ends looks once more under the lock, so it takes the
        # event, or it is gone and another starts.
        _start_writer()
        if loop not in _watched:
            _watched.add(loop)
            loop.call_later(STALL_SECONDS / 2, _watch, loop)
        return await result
    finally:
        clock.cancel()


def _watch(loop: asyncio.AbstractEventLoop) -> None:
    """Look for stalls as long as an event waits."""
    if _queue.empty():
        _watched.discard(loop)
        return
    _start_writer()
    loop.call_later(STALL_SECONDS / 2, _watch, loop)


def _start_writer() -> None:
    """Start a writer unless there is one whose transaction has not stalled."""
    with _lock:
        if len(_writers) < WRITERS_MAX and all(map(_has_stalled, _writers.values())):
            # A daemon: nothing that it has not committed is answered, so Stripe delivers that again.
            writer = threading.Thread(target=_run, name="webhooks", daemon=True)
            _writers[writer] = None
            writer.start()


def _has_stalled(began: float | None) -> bool:
    return began is not None and time.monotonic() - began >= STALL_SECONDS


def _run() -> None:
    """Write batches until none came for a while, or another writer has recovered."""
    try:
        while True:
            with suppress(queue.Empty):
                _write_batch(_batch(_queue.get(timeout=IDLE_SECONDS)))
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
    """Give up the place of this writer if another one has not stalled; return whether it did."""
    me = threading.current_thread()
    with _lock:
        if all(_has_stalled(began) for writer, began in _writers.items() if writer is not me):
            return False
        del _writers[me]
        return True


def _batch(first: _Waiting) -> list[_Waiting]:
    """Return the events to write, without those that were answered as too late: Stripe delivers them again."""
    global _waiting_bytes  # noqa: PLW0603
    taken = [first]
    with suppress(queue.Empty):
        while len(taken) < BATCH_MAX:
            taken.append(_queue.get_nowait())
    with _lock:
        _waiting_bytes -= sum(len(row.body) for row, _ in taken)
    # A caller that hung up has cancelled its result. Its event is written all the same.
    return [(row, result) for row, result in taken if result.cancelled() or not result.done()]


def _write_batch(batch: list[_Waiting]) -> None:
    """Write a batch in one transaction, or where that fails each event alone. What waits for a lock comes last.

    So one that waits holds up no other: events are answered before those that wait briefly, and these before the rest.
    """
    left = batch
    if len(left) > 1:
        left = _try(left, partial(ingest.write, together=True))
        for work in (partial(ingest.write, together=True, tries=1), partial(ingest.ingest, together=True)):
            left = [still for waiting in left for still in _try([waiting], work)]
    for waiting in left:
        _try([waiting], ingest.ingest)


def _try(batch: list[_Waiting], work: _Work) -> list[_Waiting]:
    """Answer the events of which `work` returns the results; return the others, or all where it cannot go on."""
    results: Sequence[EventResult | Exception | None]
    me = threading.current_thread()
    _writers[me] = time.monotonic()
    try:
        results = work([row for row, _ in batch])
    except ingest.NotTogetherError:
        return batch
    except Exception as error:  # noqa: BLE001 whatever it is, each request answers it
        results = [error] * len(batch)
    finally:
        _writers[me] = None
        if connection.errors_occurred:
            connection.close()  # the pool looks whether it is still good
    left = []
    for (row, future), result in zip(batch, results, strict=True):
        if result is None:
            left.append((row, future))
            continue
        with suppress(RuntimeError):  # its event loop has ended
            future.get_loop().call_soon_threadsafe(_settle, future, result)
    return left


def _settle(future: "asyncio.Future[EventResult]", result: EventResult | Exception) -> None:
    if future.done():  # its caller went away
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)

"""One writer of webhooks in each process: what comes while it writes is written together, in one commit.

At low load that is one event, which waits for nothing. Each is answered after the commit that it is in. Where the writer
itself has to wait, for a lock that somebody holds, another takes what came after.

The writer is a thread fed by a queue. A hop to one of asgiref's threads and back costs several times as much, most of
all at low load, where nothing of it is in the processor's caches.
"""

import asyncio
import queue
import threading
from contextlib import suppress

from django.db import OperationalError, connection

from payments import webhooks
from payments.models import WebhookEvent
from payments.webhooks import Outcome

STALL_SECONDS = 0.25
"""After so long another writer helps. More than one from the start make smaller transactions, and of those more."""
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
_writers: set[threading.Thread] = set()
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
    clocks = loop.call_later(STALL_SECONDS, _help), loop.call_later(WAIT_SECONDS, _settle, outcome, too_long)
    try:
        with _lock:
            if _waiting_bytes > WAITING_MAX_BYTES:
                raise OperationalError("Too many events wait for the database.")
            _waiting_bytes += len(row.body)
            _queue.put((row, outcome))
        _start_writer(most=1)
        return await outcome
    finally:
        for clock in clocks:
            clock.cancel()


def _help() -> None:
    if not _queue.empty():
        _start_writer(most=WRITERS_MAX)


def _start_writer(*, most: int) -> None:
    with _lock:
        if len(_writers) < most:
            writer = threading.Thread(target=_write, name="webhooks", daemon=True)
            writer.start()
            _writers.add(writer)


def _write() -> None:
    """Write what waits, until nothing came for a while."""
    try:
        while True:
            with suppress(queue.Empty):
                _write_together(_queue.get(timeout=IDLE_SECONDS))
                continue
            with _lock:
                if _queue.empty():
                    _writers.discard(threading.current_thread())
                    return
    finally:
        with _lock:
            _writers.discard(threading.current_thread())  # whatever ended it, another can start
        connection.close()


def _write_together(first: _Waiting) -> None:
    """Write what waits in one transaction; where that fails each by itself, those last that have to wait for a lock."""
    together = _rest(first)
    if not together:
        return
    try:
        _take_in(together, together=len(together) > 1)
    except webhooks.NotTogetherError:
        last = []
        for waiting in together:
            try:
                _take_in([waiting], together=True)
            except webhooks.NotTogetherError:
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
    try:
        results = [*webhooks.take_in([row for row, _ in waiting], together=together)]
    except webhooks.NotTogetherError:
        raise
    except Exception as error:  # noqa: BLE001 whatever it is, each request answers it
        results = [error] * len(waiting)
    finally:
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

"""The sandbox's background work: send deliveries, expire sessions, settle refunds.

One thread of each process talks to the database; a few others post, so that a slow response delays few deliveries.
"""

import logging
import queue
import threading
from typing import TYPE_CHECKING

import requests
from django.db import DatabaseError, connections
from django.utils import timezone

from stripe_sandbox.api import idempotency
from stripe_sandbox.checkout import lifecycle, refunds
from stripe_sandbox.events import deliveries
from stripe_sandbox.timing import POLL_SECONDS

if TYPE_CHECKING:
    from stripe_sandbox.models import Delivery

logger = logging.getLogger(__name__)

SENDERS = 4


class Worker:
    """The threads of one process, and the queues between them."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._to_send: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._attempts: queue.SimpleQueue[deliveries.Attempt] = queue.SimpleQueue()
        self._in_flight = 0
        self._failing = False
        self._main = threading.Thread(target=self._run, name="sandbox-worker", daemon=True)
        self._senders = [
            threading.Thread(target=self._send, name=f"sandbox-sender-{number}", daemon=True)
            for number in range(SENDERS)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in [self._main, *self._senders]:
            thread.start()

    def is_alive(self) -> bool:
        """Return whether the main thread runs."""
        return self._main.is_alive()

    def stop(self) -> None:
        """End all threads, after finishing and recording the attempts under way."""
        self._stopping.set()
        deliveries.wake.set()
        self._main.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            # Clear before the round: what is planned during it sets the event again, and the wait ends at once.
            deliveries.wake.clear()
            self._round()
            deliveries.wake.wait(POLL_SECONDS)
        # One for each: a sender ends at the first that it gets.
        for _ in self._senders:
            self._to_send.put(None)
        for sender in self._senders:
            sender.join()
        # Record what the senders have finished, and claim nothing more.
        self._round(limit=0)

    def _round(self, limit: int = SENDERS) -> None:
        try:
            self._record()
            lifecycle.expire_overdue()
            refunds.settle_due()
            idempotency.forget_old()
            for delivery in deliveries.claim(now=timezone.now(), limit=limit - self._in_flight):
                self._in_flight += 1
                self._to_send.put(delivery)
            self._failing = False
        except Exception as error:  # such as a database that is away: the next round tries again
            # Say it once an outage, not each second.
            if not self._failing:
                unforeseen = not isinstance(error, DatabaseError)
                logger.warning(
                    "The sandbox cannot look for work; it keeps trying: %r", error, exc_info=unforeseen
                )
            self._failing = True
        finally:
            # A thread's connections are its own, and Django closes them at the end of requests alone.
            connections.close_all()

    def _record(self) -> None:
        while not self._attempts.empty():
            attempt = self._attempts.get()
            self._in_flight -= 1
            deliveries.record(attempt, now=timezone.now())

    def _send(self) -> None:
        with requests.Session() as http:
            http.trust_env = False  # no proxy between a server and itself
            while delivery := self._to_send.get():
                self._attempts.put(deliveries.send(delivery, http=http, now=timezone.now()))
                deliveries.wake.set()


_lock = threading.Lock()
_worker: Worker | None = None


def start() -> None:
    """Start this process's worker, unless it is running already."""
    global _worker  # noqa: PLW0603 one worker for each process
    with _lock:
        if _worker is None or not _worker.is_alive():
            _worker = Worker()
            _worker.start()


def stop() -> None:
    """Stop this process's worker, if it has one, and wait for it."""
    global _worker  # noqa: PLW0603
    with _lock:
        if _worker is not None:
            _worker.stop()
            _worker = None

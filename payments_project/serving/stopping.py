"""Stop the process on a signal, in order, or at once if that takes too long."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from payments_project.serving.limits import STOP_SECONDS

logger = logging.getLogger(__name__)

SAME_SECONDS = 0.5
"""A second signal within this time is the same one: `timeout`, make and systemd signal both a process and its group."""


def on_signal(loop: asyncio.AbstractEventLoop, stop: Callable[[], object]) -> None:
    """Call `stop` on the first SIGINT, SIGTERM or SIGHUP. A later one ends the process at once.

    SIGHUP, the end of the terminal, counts unless it is ignored at the start, as under nohup(1). If the stop takes
    longer than STOP_SECONDS, the process ends with exit code 1: a thread cannot be cancelled.
    """
    began: float | None = None

    def begin(number: int, _: FrameType | None) -> None:
        nonlocal began
        now = time.monotonic()
        if began is None:
            began = now
            clock = threading.Timer(STOP_SECONDS, _give_up)
            clock.daemon = True
            clock.start()
            # A signal handler runs between any two instructions, and does not wake a loop that waits.
            loop.call_soon_threadsafe(stop)
        elif now - began >= SAME_SECONDS:
            os._exit(128 + number)

    # Not by the event loop, which has no signals on Windows. PID 1 of a container needs a handler in any case.
    for number in _signals():
        signal.signal(number, begin)


def _signals() -> Iterator[signal.Signals]:
    yield signal.SIGINT
    yield signal.SIGTERM
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        yield signal.SIGHUP


def _give_up() -> None:
    logger.error("Requests are left without an answer: they took longer than %d seconds.", STOP_SECONDS)
    os._exit(1)

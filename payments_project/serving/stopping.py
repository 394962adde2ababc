"""From a signal to the end of the process: first nobody new, then everybody is told, then all is answered."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from notifications.delivery import hub
from payments_project.serving.limits import STOP_SECONDS
from payments_project.serving.requests import Requests

logger = logging.getLogger(__name__)

SAME_SECONDS = 0.5
"""Signals that come so soon after the first are the same: `timeout`, make and systemd send theirs to a process and to
its group."""


def on_signal(loop: asyncio.AbstractEventLoop, stop: Callable[[], object]) -> None:
    """Call `stop` on the first SIGINT, SIGTERM or SIGHUP. A later one ends the process at once.

    SIGHUP, the end of the terminal, counts unless whoever started this has it ignored, as nohup(1) does. The process
    ends with exit code 1 where the stop takes longer than STOP_SECONDS: a thread cannot be cancelled.
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
            loop.call_soon_threadsafe(stop)
        elif now - began >= SAME_SECONDS:
            os._exit(128 + number)

    # Not by the event loop, which has no signals on Windows. And the default action is none for PID 1 of a container.
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


async def drain(requests: Requests) -> None:
    """Close every WebSocket, and return when every HTTP request is answered. Call it when nobody new is let in."""
    await hub.drain()
    await requests.answered()

"""From a signal to the end of the process: first nobody new, then everybody is told, then all is answered."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable

from notifications import connections

from .limits import STOP_SECONDS
from .requests import Requests

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def on_signal(loop: asyncio.AbstractEventLoop, stop: Callable[[], object]) -> None:
    """Call `stop` on the first SIGINT or SIGTERM. The second ends the process at once.

    It ends with exit code 1 where the stop takes longer than STOP_SECONDS: a thread cannot be cancelled.
    """

    def begin() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        clock = threading.Timer(STOP_SECONDS, _give_up)
        clock.daemon = True
        clock.start()
        stop()

    for number in SIGNALS:
        loop.add_signal_handler(number, begin)


def _give_up() -> None:
    logger.error("Requests are left without an answer: they took longer than %d seconds.", STOP_SECONDS)
    os._exit(1)


async def drain(requests: Requests) -> None:
    """Close every WebSocket, and return when every HTTP request is answered. Call it when nobody new is let in."""
    await connections.drain()
    await requests.answered()

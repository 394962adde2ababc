"""Run the database work of sockets in a few threads of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async
from django.db import OperationalError

_P = ParamSpec("_P")
_R = TypeVar("_R")

WAIT_SECONDS = 10.0
"""A socket waits this long for one piece of database work."""

_READING = ThreadPoolExecutor(8, thread_name_prefix="notifications-database")
_WRITING = ThreadPoolExecutor(4, thread_name_prefix="notifications-database-writing")
"""Writers have their own threads: they may all wait for one lock. SQLite has a single one for the whole database."""


async def in_thread(work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Return what `work` returns, or raise what it raises, without blocking the event loop.

    By default Channels and Django share one thread in a process for such calls: one slow query would hold up every
    socket. Raises OperationalError after WAIT_SECONDS: then work that has not begun is dropped, and work that has
    begun is no longer waited for.
    """
    return await _wait(
        database_sync_to_async(work, thread_sensitive=False, executor=_READING)(*args, **kwargs)
    )


async def in_writing_thread(work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Run work as `in_thread` does, in the threads for work that writes."""
    return await _wait(
        database_sync_to_async(work, thread_sensitive=False, executor=_WRITING)(*args, **kwargs)
    )


async def _wait(result: Awaitable[_R]) -> _R:
    try:
        # While the database says nothing, callers would join a queue without end (docs/decisions/0015).
        async with asyncio.timeout(WAIT_SECONDS):
            return await result
    except TimeoutError:
        raise OperationalError("The database took too long.") from None

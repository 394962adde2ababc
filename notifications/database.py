"""The database work of sockets, in a few threads of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async

_P = ParamSpec("_P")
_R = TypeVar("_R")

_THREADS = ThreadPoolExecutor(8, thread_name_prefix="notifications-database")


async def in_thread(work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Return what `work` returns, or raise what it raises, without holding up the event loop.

    By default Channels and Django's own async calls share one thread in a process: there, one slow query would
    hold up every socket.
    """
    return await database_sync_to_async(work, thread_sensitive=False, executor=_THREADS)(*args, **kwargs)

"""The open connections of this process, and how they are told that it ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

BATCH_SIZE = 100
SPREAD_SECONDS = 5.0
"""The longest time over which the closes are spread, so that not all clients come back in the same moment."""
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 5.0
"""How long the last connections may take to end after they were closed."""


class Connection(Protocol):
    async def dismiss(self) -> None:
        """Tell the client that the server goes away, and end."""


_open: set[Connection] = set()
_draining = False


@contextmanager
def is_open(connection: Connection) -> Iterator[None]:
    """Know the connection until it has ended and all that it left behind is done."""
    _open.add(connection)
    try:
        yield
    finally:
        _open.discard(connection)


def is_draining() -> bool:
    """Tell whether this process is about to end and wants no new connections."""
    return _draining


async def drain() -> None:
    """Close every connection, a batch at a time; return when all have ended, or took too long.

    Who connects from now on is closed at once. It takes at most SPREAD_SECONDS and PATIENCE_SECONDS.
    """
    global _draining  # noqa: PLW0603 a process ends once
    _draining = True
    connections = list(_open)
    batches = [connections[n : n + BATCH_SIZE] for n in range(0, len(connections), BATCH_SIZE)]
    pause = min(PAUSE_SECONDS, SPREAD_SECONDS / max(len(batches), 1))
    farewells = set()
    for batch in batches:
        farewells |= {asyncio.create_task(connection.dismiss()) for connection in batch}
        await asyncio.sleep(pause)
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while _open and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 each ends in its own way
        await asyncio.sleep(PAUSE_SECONDS)
    for farewell in farewells:
        farewell.cancel()

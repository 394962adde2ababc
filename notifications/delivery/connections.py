"""The open connections of this process, and how many of them are sent away at once."""

import asyncio
from collections.abc import Iterator, Sequence
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
        """Send the client away to another server, or to register again, and end."""


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
    farewells = await dismiss(list(_open))
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while _open and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 each ends in its own way
        await asyncio.sleep(PAUSE_SECONDS)
    for farewell in farewells:
        farewell.cancel()


async def dismiss(connections: Sequence[Connection]) -> set[asyncio.Task[None]]:
    """Send connections away, a batch at a time over at most SPREAD_SECONDS; return what may still be under way."""
    batches = [connections[n : n + BATCH_SIZE] for n in range(0, len(connections), BATCH_SIZE)]
    pause = min(PAUSE_SECONDS, SPREAD_SECONDS / max(len(batches), 1))
    farewells = set()
    for batch in batches:
        farewells |= {asyncio.create_task(connection.dismiss()) for connection in batch}
        await asyncio.sleep(pause)
    return farewells

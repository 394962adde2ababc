"""Write nothing to a client that has hung up."""

import asyncio
from typing import Any


class QuietTransport:
    """A transport that ignores what uvicorn does after the client has gone.

    uvloop raises RuntimeError then. uvicorn does not notice each end of a connection: it marks the newest of several
    pipelined requests alone.
    """

    __slots__ = ("_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.is_closing = transport.is_closing  # asked several times for each request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write unless the connection is closing."""
        if not self.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Stop to read unless the connection is closing."""
        if not self.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on unless the connection is closing."""
        if not self.is_closing():
            self._transport.resume_reading()

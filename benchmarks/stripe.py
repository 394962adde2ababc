"""`python -m benchmarks.stripe`: a Stripe that answers at once, so that what is measured is who asks it.

It prints its port. `POST /v1/checkout/sessions` makes a new session each time; whatever else is asked gets an empty
object, which serves as the trivial answer that the generator's own limit is measured with.
"""

import asyncio
import itertools
import json
import time
from typing import cast

import uvloop

from .ports import free_port

_DAY = 86_400


class Stripe(asyncio.Protocol):
    """One connection."""

    numbers = itertools.count(int(time.time() * 1000))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self._transport.write(self._answer(head))

    def _answer(self, head: bytes) -> bytes:
        body = b"{}"
        if head.startswith(b"post /v1/checkout/sessions "):
            body = json.dumps(self._session()).encode()
        start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return start % len(body) + body

    def _session(self) -> dict[str, object]:
        name = f"cs_test_{next(self.numbers):032}"
        return {
            "id": name,
            "object": "checkout.session",
            "expires_at": int(time.time()) + _DAY,
            "livemode": False,
            "mode": "payment",
            "payment_intent": None,
            "payment_status": "unpaid",
            "status": "open",
            "url": f"https://checkout.stripe.com/c/pay/{name}",
        }


async def main() -> None:
    """Serve until the process is ended."""
    port = free_port()
    server = await asyncio.get_running_loop().create_server(Stripe, "127.0.0.1", port, backlog=1024)
    print(port, flush=True)  # noqa: T201 that is how it tells
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())

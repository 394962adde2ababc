"""`python -m benchmarks.stripe`: a Stripe that answers at once, so that what is measured is the subject that asks it.

It prints its port. `POST /v1/checkout/sessions` makes a new session each time; whatever else is asked gets an empty
object. After `PUT /delay/150` each answer takes 150 ms, as those of the real one do, until the next such request.
"""

import asyncio
import itertools
import json
import time
from typing import ClassVar, cast

import uvloop

from .ports import free_port

_DAY = 86_400


class Stripe(asyncio.Protocol):
    """One connection."""

    numbers = itertools.count(int(time.time() * 1000))
    delay_seconds: ClassVar = 0.0

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
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        delay, body = self.delay_seconds, b"{}"
        if head.startswith(b"put /delay/"):
            Stripe.delay_seconds, delay = int(head.split(b" ")[1].rsplit(b"/")[-1]) / 1000, 0.0
        if head.startswith(b"post /v1/checkout/sessions "):
            body = json.dumps(self._session()).encode()
        start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        answer = start % len(body) + body
        if delay:
            asyncio.get_running_loop().call_later(delay, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)

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
    print(port, flush=True)  # noqa: T201 so the port is known
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())

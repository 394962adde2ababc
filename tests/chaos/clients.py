"""Riders' web clients, as the client guide and docs/websocket.md describe them, with the habits of real ones.

A client that `stays` goes only when it is cut off. The others go by themselves, from time to time:

- `comes and goes`: closes its connection cleanly, is away for some seconds, comes back.
- `loses its network`: its old connection stays open without a FIN and unread, and it connects anew.
- `stalls`: stops reading for a while, short or long, and then reads on.
- `breaks off`: cuts the connection without the protocol's goodbye, and comes back.
- `flaps`: now and then opens and closes many connections in a row.
"""

import asyncio
import json
import time
from contextlib import suppress
from random import Random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.chaos.plan import PlannedClient
from tests.chaos.records import ClientRecord, Connection, Receipt

BETWEEN = {
    "comes and goes": (4.0, 15.0),
    "loses its network": (4.0, 15.0),
    "breaks off": (4.0, 15.0),
    "flaps": (0.2, 1.0),
    "stalls": (4.0, 15.0),
}
"""Seconds from the registration, or from the last time, until a client does it."""
CHANCE_TO_FLAP_ON = 0.7
START_SECONDS = 3.0
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0
"""Seconds: the bound of the wait before the next connection doubles between the two."""
ANSWER_SECONDS = 10.0
AFTER_REFUSAL_SECONDS = 1.0
LAST_LOOK_SECONDS = 0.05
"""What has arrived when a client decides to leave is shown before it goes, however busy this process is."""


class Client:
    """One client, from the start of the run to its end."""

    def __init__(self, *, url: str, planned: PlannedClient, calm: asyncio.Event) -> None:
        """Once `calm` is set the client gives up its habit: it connects and stays."""
        self.record = ClientRecord(name=planned.name, user_id=planned.user_id, resumes=planned.resumes)
        self.habit = planned.habit
        self.last_seq = 0
        self._epoch = ""
        self._url = url
        self._calm = calm
        self._rng = Random(planned.seed)
        self._socket: ClientConnection | None = None
        self._abandoned: list[ClientConnection] = []
        self._losses = 0

    @property
    def is_registered(self) -> bool:
        return self._socket is not None

    async def run(self) -> None:
        """Be connected, as far as the habit lets it, until cancelled."""
        await asyncio.sleep(self._rng.uniform(0, START_SECONDS))
        try:
            while True:
                try:
                    await self._connect_and_stay()
                except (OSError, TimeoutError, WebSocketException) as error:
                    self.record.failures.append((time.time(), f"{type(error).__name__}: {error}"))
                await asyncio.sleep(self._next_wait())
        finally:
            for socket in self._abandoned:
                socket.transport.abort()

    async def stop_reading(self, seconds: float) -> None:
        """Let what is sent pile up for a while; then read on."""
        socket, since = self._socket, time.time()
        if socket is None:
            return
        socket.transport.pause_reading()
        try:
            await self._unless_calm(seconds)
        finally:
            socket.transport.resume_reading()
            self.record.stalled.append((since, time.time()))

    def _next_wait(self) -> float:
        # Random within the bound, so that clients that were cut off together do not come back together.
        bound = min(LONGEST_WAIT, FIRST_WAIT * 2**self._losses)
        self._losses += 1
        return self._rng.uniform(0, bound)

    async def _connect_and_stay(self) -> None:
        """Live through one connection, to its end or until the habit takes the client away."""
        socket = await connect(
            self._url, proxy=None, compression=None, ping_interval=None, open_timeout=5, close_timeout=2
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._register(socket)
        # A cancelled client, too, must not leave its socket behind.
        except BaseException:
            socket.transport.abort()
            raise
        self._losses = 0
        self._socket = socket
        self.record.connections.append(Connection(opened=time.time()))
        try:
            await self._stay(socket)
        finally:
            self._socket = None
            if socket not in self._abandoned:
                await socket.close()

    async def _stay(self, socket: ClientConnection) -> None:
        """Listen until the connection ends, or the habit ends it."""
        listening = asyncio.create_task(self._listen(socket))
        leaving = asyncio.create_task(self._feel_like_leaving())
        try:
            await asyncio.wait({listening, leaving}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(LAST_LOOK_SECONDS)
            # Raise what ended it: only the end of the connection counts as an ordinary one.
            if listening.done():
                listening.result()
        finally:
            connection = self.record.connections[-1]
            connection.ended = time.time()
            is_over = listening.done()
            listening.cancel()
            leaving.cancel()
        if not is_over:
            how, seconds = leaving.result()
            if how == "close" and not socket.transport.is_reading():
                how = "abort"  # a client that has not read what came cannot say goodbye as if it had
            connection.clean = how == "close"
            await self._leave(socket, how, seconds)

    async def _register(self, socket: ClientConnection) -> None:
        """Register, again and again while the service says that it cannot for now."""
        request: dict[str, Any] = {"type": "register", "userId": self.record.user_id}
        if self.record.resumes:
            request["lastSeq"] = self.last_seq
            request |= {"epoch": self._epoch} if self._epoch else {}
        await socket.send(json.dumps(request))
        while (answer := json.loads(await socket.recv()))["type"] != "registration_success":
            await asyncio.sleep(AFTER_REFUSAL_SECONDS)
            await socket.send(json.dumps(request))
        if self.record.resumes and not answer["resumed"]:
            self.record.refused += 1
            self.last_seq = answer["lastSeq"]
        self._epoch = answer.get("epoch", "")

    async def _listen(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                frame = json.loads(await socket.recv())
                seq = frame.pop("seq", None)
                connection = len(self.record.connections) - 1
                self.record.receipts.append(Receipt(time.time(), connection, frame, seq))
                self.last_seq = max(self.last_seq, seq or 0)

    async def _feel_like_leaving(self) -> tuple[str, float]:
        """Return, when the time has come, how to leave and for how many seconds."""
        draw = self._rng.uniform
        while self.habit != "stays":
            await self._unless_calm(draw(*BETWEEN[self.habit]))
            if self._calm.is_set():
                break
            match self.habit:
                case "comes and goes":
                    return "close", draw(1, 6)
                case "loses its network":
                    return "abandon", draw(0, 1)
                case "breaks off":
                    return "abort", draw(0.1, 3)
                case "flaps" if self._rng.random() < CHANCE_TO_FLAP_ON:
                    return self._rng.choice(["close", "abort"]), draw(0, 0.3)
                case "stalls":
                    await self.stop_reading(draw(1, 15))
        return await asyncio.Future()

    async def _leave(self, socket: ClientConnection, how: str, seconds: float) -> None:
        since = time.time()
        if how == "close":
            await socket.close()
        elif how == "abort":
            socket.transport.abort()
        else:
            socket.transport.pause_reading()
            # Kept, so that it is not closed by the garbage collector: a lost network sends no FIN.
            self._abandoned.append(socket)
        await self._unless_calm(seconds)
        self.record.away.append((since, time.time()))

    async def _unless_calm(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._calm.wait(), seconds)

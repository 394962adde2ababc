"""A network that can be broken: TCP proxies to stand in front of PostgreSQL, Valkey or the service."""

import asyncio
import socket
import struct
import threading
from functools import partial


class Proxy:
    """Forwards connections to `port` of 127.0.0.1 on to a target, from a thread of its own. A context manager.

    The target is a port of 127.0.0.1 or the path of a Unix socket. Every control has taken effect when it returns.
    """

    def __init__(self, target):
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{target}", daemon=True)
        self._healed = asyncio.Event()
        self._healed.set()
        self._refusing = False
        self._connecting = set()
        self._server = None
        self.ends = set()
        self.port = None

    def __enter__(self):
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *_):
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def black_hole(self):
        """Forward nothing any more, either way; all connections stay open, and new ones seem to open.

        As in a real network, the other end does not hear that one closes or dies.
        """
        self._call(self._set_open(False))

    def strand(self):
        """Forward nothing on the connections that there are, for good; new ones are good.

        So it is when a firewall has forgotten them, or the machine at the other end was replaced.
        """
        self._call(self._strand())

    def cut(self, *, refuse=False):
        """Reset every connection; `refuse`: and each new one, until `heal`. A black hole ends with it."""
        self._call(self._cut(refuse=refuse))

    def lead_to(self, target):
        """Lead new connections elsewhere; those that there are stay, as when a name gets another address."""
        self._target = target

    def heal(self):
        """Be a good network again. What was sent into the black hole arrives now, as TCP sends it again."""
        self._call(self._set_open(True))

    @property
    def is_open(self):
        return self._healed.is_set()

    def request_filter(self):
        """Return what the bytes of one new connection's client go through; None: they go as they are."""
        return

    def connect(self, end):
        """Connect the end of the target."""
        task = self._loop.create_task(self._connect(end))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, end):
        # A black hole refuses nothing: a new connection seems to open, and leads nowhere.
        await self._healed.wait()
        try:
            if self._refusing:
                raise ConnectionRefusedError
            if isinstance(self._target, int):
                await self._loop.create_connection(lambda: end, "127.0.0.1", self._target)
            else:
                await self._loop.create_unix_connection(lambda: end, self._target)
        except OSError:
            end.other.abort()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=10)

    async def _start(self):
        accept = partial(_End.of_client, self)
        self._server = await self._loop.create_server(accept, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self):
        await self._cut(refuse=True)
        # A server that is closed while it accepts a connection leaves it open for ever
        while self.ends or len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 it takes a few turns of the loop
            await asyncio.sleep(0)
        self._server.close()

    async def _set_open(self, is_open):
        if is_open:
            self._healed.set()
            self._refusing = False
        else:
            self._healed.clear()
        for end in self.ends:
            end.set_flow()

    async def _strand(self):
        for end in self.ends:
            end.is_stranded = True
            end.set_flow()

    async def _cut(self, *, refuse):
        self._refusing = refuse
        self._healed.set()
        for end in tuple(self.ends):
            end.abort()


class RedisProxy(Proxy):
    """A proxy that reads what clients ask of a Redis, and can lose what they publish."""

    def __init__(self, target):
        super().__init__(target)
        self._share, self._rng = 0.0, None
        self.published = self.dropped = 0

    def drop_publishes(self, share, rng):
        """Lose this share (0 to 1) of what is published from now on: the publisher hears that nobody listens."""
        self._share, self._rng = share, rng

    def request_filter(self):
        return _Commands(self._replace)

    def _replace(self, command):
        """Return what is asked instead of this command: publishing to nobody has the answer, in its place."""
        if not _is_publish(command):
            return command
        self.published += 1
        if self._share and self._rng.random() < self._share:
            self.dropped += 1
            return _PUBLISH_TO_NOBODY
        return command


_PUBLISH_TO_NOBODY = b"*3\r\n$7\r\nPUBLISH\r\n$11\r\nlost-by-net\r\n$0\r\n\r\n"


def _is_publish(command):
    return command[:4] == b"*3\r\n" and command[4:17].upper() == b"$7\r\nPUBLISH\r\n"


class _Commands:
    """Cuts the bytes of a client into commands, however they arrive.

    Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
    """

    def __init__(self, replace):
        self._replace = replace
        self._rest = b""

    def __call__(self, data):
        """Return what goes on of all that has arrived so far: whole commands."""
        self._rest += data
        out = []
        while (end := self._end_of_first()) is not None:
            out.append(self._replace(self._rest[:end]))
            self._rest = self._rest[end:]
        return b"".join(out)

    def _end_of_first(self):
        """Return where the first command ends, None if it is not all there."""
        end, parts = self._line(0, b"*")
        for _ in range(parts):
            if end is None:
                return None
            end, length = self._line(end, b"$")
            if end is not None:
                end += length + 2
        return end if end is not None and end <= len(self._rest) else None

    def _line(self, start, kind):
        """Return where the line ends and the number it says; a line of another kind, an inline command, says 0."""
        end = self._rest.find(b"\r\n", start)
        if end < 0:
            return None, 0
        is_number = self._rest[start : start + 1] == kind
        return end + 2, int(self._rest[start + 1 : end]) if is_number else 0


class _End(asyncio.Protocol):
    """One of the two TCP connections that make a connection through the proxy."""

    def __init__(self, proxy, request_filter=None):
        self.other = None
        self.is_stranded = False
        self._proxy = proxy
        self._filter = request_filter
        self._transport = None
        self._has_room = True

    @classmethod
    def of_client(cls, proxy):
        """Return the end of a client that connects; the other follows as soon as the network lets it."""
        end = cls(proxy, proxy.request_filter())
        end.other = cls(proxy)
        end.other.other = end
        return end

    def connection_made(self, transport):
        self._transport = transport
        self._proxy.ends.add(self)
        self.set_flow()
        if self.other._transport is None:
            self._proxy.connect(self.other)
        elif self.other._transport.is_closing():  # a client that did not wait
            self.abort()
        else:
            self.other.set_flow()

    def data_received(self, data):
        self.other._transport.write(self._filter(data) if self._filter else data)

    def connection_lost(self, error):
        self._proxy.ends.discard(self)
        if self.other._transport and error:
            self.other.abort()
        elif self.other._transport:
            self.other._transport.close()

    def pause_writing(self):
        self._has_room = False
        self.other.set_flow()

    def resume_writing(self):
        self._has_room = True
        self.other.set_flow()

    def set_flow(self):
        """Read from this end while the other can be written to: what is not read waits in the system's buffers."""
        is_open = self._proxy.is_open and not self.is_stranded
        if is_open and self.other._transport and self.other._has_room:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def abort(self):
        """Close with a reset: closing at once is no more than a FIN to the other side."""
        if self._transport.is_closing():
            return
        sock = self._transport.get_extra_info("socket")
        # Lingering for no time makes the system send RST in place of FIN.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

"""Waiting to the microsecond. uvloop's own timers know whole milliseconds, and ring up to half of one too early."""

import asyncio
import ctypes
import os
from types import TracebackType
from typing import Self

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Times(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns")]


class Alarm:
    """A timer of the kernel's, see timerfd_create(2). Its clock is that of `time.perf_counter`."""

    def __enter__(self) -> Self:
        self._fd = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._ring)
        self._rung: asyncio.Future[None] | None = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    async def wait_until(self, when: float) -> None:
        """Return at that moment (seconds), or at once if it has passed."""
        self._rung = self._loop.create_future()
        seconds, fraction = divmod(when, 1)
        times = _Times(0, 0, int(seconds), max(1, int(fraction * 1e9)))
        if _libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(times), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        await self._rung

    def _ring(self) -> None:
        os.read(self._fd, 8)
        if self._rung is not None and not self._rung.done():
            self._rung.set_result(None)

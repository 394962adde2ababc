"""The worker processes of a subject: started on one listening socket, measured, killed, ended."""

import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from .processes import cpu_seconds, family

BACKLOG = 1024
READY_SECONDS = 60.0
STOP_SECONDS = 10.0


class Workers:
    """Processes of one command. `{fd}` in it, and LISTEN_FD in the environment, is the number of the socket."""

    def __init__(
        self, *, command: Sequence[str], folder: Path, environment: Mapping[str, str], port: int, count: int
    ) -> None:
        self._command, self._folder, self._environment = command, folder, environment
        self.port, self._count = port, count
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", self.port), backlog=BACKLOG)
        self._log = tempfile.TemporaryFile()
        try:
            for _ in range(self._count):
                self._processes.append(self._start())
            self.wait_until_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._socket.close()
        self._log.close()

    def _start(self) -> subprocess.Popen[bytes]:
        fd = self._socket.fileno()
        return subprocess.Popen(  # noqa: S603 a command of this repository
            [part.replace("{fd}", str(fd)) for part in self._command],
            cwd=self._folder,
            env=dict(self._environment) | {"LISTEN_FD": str(fd)},
            pass_fds=[fd],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def wait_until_ready(self) -> None:
        """Return when every worker accepts connections: each waits for events on the socket by then."""
        deadline = time.monotonic() + READY_SECONDS
        waiting = {process.pid for process in self._processes}
        while waiting:
            if time.monotonic() > deadline or any(p.poll() is not None for p in self._processes):
                raise RuntimeError(f"A worker did not start. {self.log()}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                time.sleep(0.05)
                # The system hands each connection to any worker that waits, so connect until each has had one.
                waiting -= {pid for pid in waiting if self._has_connection(pid)}
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=10).close()

    def _has_connection(self, pid: int) -> bool:
        with suppress(psutil.Error):
            return any(
                c.laddr.port == self.port and c.status == psutil.CONN_ESTABLISHED
                for process in family(pid)
                for c in process.net_connections(kind="tcp")
                if c.laddr
            )
        return False

    def cpu_seconds(self) -> float:
        """Return the user and system time that they and their children have used."""
        return sum(cpu_seconds(process.pid) for process in self._processes)

    def memory_kib(self) -> float:
        """Return their proportional set size: what is shared counts once."""
        total = 0
        for process in self._processes:
            for member in family(process.pid):
                with suppress(psutil.Error):
                    total += member.memory_full_info().pss
        return total / 1024

    def connections(self) -> list[int]:
        """Return how many connections each worker has."""
        return [
            sum(
                c.status == psutil.CONN_ESTABLISHED and bool(c.laddr) and c.laddr.port == self.port
                for member in family(process.pid)
                for c in member.net_connections(kind="tcp")
            )
            for process in self._processes
        ]

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def replace(self, index: int) -> None:
        """Wait for the end of a worker that was killed, and start another in its place."""
        self._processes[index].wait(STOP_SECONDS)
        self._processes[index] = self._start()

    def log(self) -> str:
        """Return the end of what they wrote."""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 2000))
        return self._log.read().decode(errors="replace")

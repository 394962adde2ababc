"""Processes of the service: servers, and commands beside them."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]


def environment(**changes):
    """Return the environment of a process: nothing of the developer's own settings gets in."""
    kept = {"PATH", "HOME", "VIRTUAL_ENV"}
    passed_on = {k: v for k, v in os.environ.items() if k in kept or k.startswith("COVERAGE")}
    ours = {"ENV_FILE": "", "DEBUG": "1", "SECRET_KEY": settings.SECRET_KEY}
    # LIMITS and REDIS_URL are those of the whole suite: see `services`.
    return passed_on | ours | {name: os.environ[name] for name in ("REDIS_URL", "LIMITS")} | changes


def run(*arguments, timeout=60, **changes):
    """Run Python with `arguments` to its end; return what came of it, output as text."""
    command = [sys.executable, *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(**changes),
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )


def eventually(condition, *, seconds=15):
    """Return what `condition` returns once that is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"it did not come true within {seconds} seconds"
        time.sleep(0.02)
    return result


class Server:
    """A server process with a database of its own. `start` again after `kill` is the same server, restarted."""

    def __init__(self, *, folder, database, port=None, local_host="localhost", **changes):
        """`local_host` is what leads to it from here, if it listens elsewhere."""
        self.database = database
        self.port = port or free_port()
        self.url = f"http://{local_host}:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=20, trust_env=False)
        self._settings = {"PORT": str(self.port), "DATABASE_URL": database.url} | changes
        self._out, self._log = folder / "out", folder / "log"
        self._process = None
        self.starts = 0
        self._is_asked_to_stop = False

    @property
    def out(self):
        """What it wrote to standard output."""
        return self._out.read_text()

    @property
    def log(self):
        """What it wrote to standard error."""
        return self._log.read_text()

    def start(self, *arguments, pass_fds=(), **changes):
        """Start `manage.py serve`, or another command of Python's."""
        self._settings |= changes
        self._is_asked_to_stop = False
        self.starts += 1
        with self._out.open("a") as out, self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, *(arguments or ("manage.py", "serve"))],
                cwd=ROOT,
                env=environment(**self._settings),
                stdout=out,
                stderr=log,
                pass_fds=pass_fds,
            )
        eventually(self.is_serving, seconds=60)

    def is_serving(self):
        """Return whether it answers; fail where the process has ended."""
        if self._process.poll() is not None:
            pytest.fail(f"The server did not start: {self.log}")
        try:
            return self.http.get("/healthz").is_success
        except httpx.TransportError:
            return False

    def unset(self, name):
        """Start without this setting from now on."""
        del self._settings[name]

    @property
    def pid(self):
        return self._process.pid

    def memory(self):
        """Return its resident memory in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024

    def stop(self, number=signal.SIGTERM, *, seconds=10):
        """Ask the process to end, unless it was asked; return its exit code."""
        if not self._is_asked_to_stop:
            self.ask_to_stop(number)
        return self._wait(seconds)

    def ask_to_stop(self, number=signal.SIGTERM):
        if self._process:
            died = self._process.poll()
            assert died is None, f"It ended by itself, with exit code {died}: {self.log}"
            self._process.send_signal(number)
            self._is_asked_to_stop = True

    def kill(self):
        self._process.kill()
        self._wait()

    def _wait(self, seconds=10):
        process, self._process = self._process, None
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def close(self):
        """End what is left of it; nothing that happened in its life may have been a traceback."""
        self.http.close()
        if self._process:
            assert self.stop() in {0, -signal.SIGTERM}
        assert "Traceback" not in self.log, self.log

    def run(self, *arguments, **changes):
        """Run a command of manage.py in another process, with the settings of this server."""
        return run("manage.py", *arguments, **self._settings | changes)

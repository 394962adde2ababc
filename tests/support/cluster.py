"""A cluster, as `make cluster` starts it."""

import signal
import subprocess
import sys
from contextlib import suppress

import httpx
import psutil

from deploy.cluster import restart
from tests.support.ports import free_port
from tests.support.server import ROOT, environment, eventually


class Cluster:
    """`folder` holds everything. `url` and `http` are as those of a server."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=20, trust_env=False)
        self._settings = {"CLUSTER_DIR": str(folder), "PORT": str(self.port), "REDIS_URL": ""} | settings
        self._process = None

    @property
    def out(self):
        """What it wrote to the terminal."""
        return (self.folder / "out").read_text()

    @property
    def log(self):
        """What the workers wrote."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("worker-*.log")))

    def start(self, **changes):
        """Return when both workers serve."""
        self._settings |= changes
        self.folder.mkdir(exist_ok=True)
        # Workers report that they serve to the same socket as for a rolling restart. It has to be there before
        # they start.
        with (self.folder / "out").open("w") as out, restart.notices(self.folder / "notify") as notified:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deploy.cluster"],
                cwd=ROOT,
                env=environment(**self._settings),
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            notified.settimeout(60)
            for _ in range(2):
                assert notified.recv(4096).startswith(b"READY=1\n")

    def run(self, module, **changes):
        """Run a module of Python with the settings of this cluster; return what came of it."""
        return subprocess.run(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=environment(**self._settings | changes),
            timeout=180,
            capture_output=True,
            text=True,
            check=False,
        )

    def pid(self, name):
        """Return the process of a program; 0 while there is none."""
        with restart.connected(self.folder) as supervisor:
            return supervisor.getProcessInfo(name)["pid"]

    def worker_of(self, client):
        """Return the name of the worker that a client is connected to."""
        return eventually(lambda: self._worker_that_serves(client.port))

    def _worker_that_serves(self, port):
        for name in ("worker:worker-0", "worker:worker-1"):
            with suppress(psutil.NoSuchProcess):  # it may just be started again
                connections = psutil.Process(self.pid(name)).net_connections("tcp4")
                if port in {connection.raddr.port for connection in connections if connection.raddr}:
                    return name
        return None

    def stop(self, number=signal.SIGINT):
        """End it, as Ctrl-C does, or by another signal; return its exit code."""
        process, self._process = self._process, None
        process.send_signal(number)
        return process.wait(timeout=60)

    def close(self):
        """End what is left of it; nothing that happened in its life may have been a traceback."""
        self.http.close()
        # A process that was left behind would hold its port, and fail a later test.
        if self._process:
            assert self.stop() == 0
        assert "Traceback" not in self.log, self.log

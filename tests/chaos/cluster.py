"""The cluster under test: `make cluster`, with proxies between its workers and PostgreSQL and Valkey."""

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import psycopg
import redis

from deploy.cluster import restart
from tests.support import cluster
from tests.support.ports import free_port
from tests.support.proxy import Proxy, RedisProxy
from tests.support.server import eventually

WORKERS = 2
PING_SECONDS = 2
START_SECONDS = 60
"""How long anything may take to come up, on a machine that is busy."""


class Cluster(cluster.Cluster):
    """A context manager. The workers reach PostgreSQL and Valkey through the proxies `postgresql` and `valkey`."""

    def __init__(self, *, folder: Path, reconciler: bool) -> None:
        """`folder` gets everything, logs included. Without `reconciler` the workers lose what the layer loses."""
        ports = {name: free_port() for name in ("CLUSTER_POSTGRESQL_PORT", "CLUSTER_VALKEY_PORT")}
        super().__init__(
            folder,
            WORKERS=str(WORKERS),
            WEBSOCKET_PING_SECONDS=str(PING_SECONDS),
            CLUSTER_WORKER_COMMAND=""
            if reconciler
            else f'"{sys.executable}" -m tests.chaos.without_reconciler serve --fd 0',
            **{name: str(port) for name, port in ports.items()},
        )
        self.workers = WORKERS
        # The longest time that a dead connection can stay unnoticed: interval, answer, and slack
        # (docs/decisions/0013-confirmed-without-acknowledgement.md).
        self.window = 2 * PING_SECONDS + 5
        self.postgresql = Proxy(ports["CLUSTER_POSTGRESQL_PORT"])
        self.valkey = RedisProxy(ports["CLUSTER_VALKEY_PORT"])
        self._frozen = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack as stack:
            stack.enter_context(self.postgresql)
            stack.enter_context(self.valkey)
            stack.callback(self.end)
            self.start(
                CLUSTER_WORKERS_POSTGRESQL_PORT=str(self.postgresql.port),
                CLUSTER_WORKERS_VALKEY_PORT=str(self.valkey.port),
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def end(self) -> None:
        """Stop what was started."""
        self.http.close()
        if self._process:
            self.stop()

    @property
    def database_url(self) -> str:
        """Where PostgreSQL is, past the proxy."""
        # The judge must see the truth while the network of the workers is broken.
        return restart.settings_of(self.folder)["DATABASE_URL"]

    def kill_worker(self, number: int) -> None:
        """Kill a worker; it is started again by itself."""
        self._kill(f"worker:worker-{number}")

    def freeze(self, number: int) -> None:
        """Let a worker do nothing until `thaw`, as on a machine that is overloaded or moved."""
        self._frozen = self._living(f"worker:worker-{number}")
        os.kill(self._frozen, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the frozen worker go on."""
        os.kill(self._frozen, signal.SIGCONT)

    def restart_workers(self) -> None:
        """Restart the workers one at a time, each once the one before serves again."""
        restarted = self.run("deploy.cluster.restart")
        if restarted.returncode:
            raise RuntimeError(f"The workers were not restarted: {restarted.stderr}")

    def restart_postgresql(self) -> None:
        """Kill the database server; return when it has recovered."""
        self._kill("postgresql")
        eventually(self._postgresql_answers, seconds=START_SECONDS)

    def restart_valkey(self) -> None:
        """Kill Valkey; return when it is back."""
        self._kill("valkey")
        eventually(self._valkey_answers, seconds=START_SECONDS)

    def logs(self) -> Mapping[str, str]:
        """Return what each worker wrote."""
        return {path.stem: path.read_text() for path in sorted(self.folder.glob("worker-*.log"))}

    def _kill(self, program: str) -> None:
        os.kill(self._living(program), signal.SIGKILL)

    def _living(self, program: str) -> int:
        """Return the process of a program, once there is one: it may just be started again."""
        return int(eventually(lambda: self.pid(program), seconds=START_SECONDS))

    def _postgresql_answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(self.database_url, connect_timeout=2):
            return True
        return False

    def _valkey_answers(self) -> bool:
        url = restart.settings_of(self.folder)["REDIS_URL"]
        with redis.Redis.from_url(url, retry=None) as client, suppress(redis.ConnectionError):
            return bool(client.ping())
        return False

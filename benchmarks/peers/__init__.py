"""What the service is measured against: the same work in three stacks, as a competent team writes it by hand."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCHEMA = HERE / "schema.sql"
"""The tables of a peer's database, which has to have them before the peer starts."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One of them. `command` starts a worker, in the folder ROOT, until SIGTERM.

    Its environment: LISTEN_FD, the number of an inherited listening socket; DATABASE_URL, with the tables of SCHEMA;
    REDIS_URL; WEBHOOK_SECRET; API_KEY; STRIPE_API_BASE, such as http://127.0.0.1:12111.
    """

    name: str
    command: list[str]
    modules: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    npm_folder: Path | None = None

    def is_available(self) -> bool:
        """Return whether this machine has what the peer is written in."""
        return all(map(find_spec, self.modules)) and all(map(shutil.which, self.programs))

    def prepare(self) -> None:
        """Install the packages of package-lock.json, unless they are there. Python's come with the project's own."""
        if self.npm_folder is None:
            return
        wanted, installed = (
            self.npm_folder / "package-lock.json",
            self.npm_folder / "node_modules/.package-lock.json",
        )
        if installed.exists() and installed.stat().st_mtime >= wanted.stat().st_mtime:
            return
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=self.npm_folder, check=True)  # noqa: S607


FASTAPI = Peer(
    name="fastapi",
    command=[sys.executable, "-m", "benchmarks.peers.fastapi_peer"],
    modules=("fastapi", "uvicorn", "uvloop", "httptools", "asyncpg", "redis", "hiredis", "orjson", "httpx"),
)
NODE = Peer(
    name="node",
    command=["node", str(HERE / "node" / "server.js")],
    programs=("node", "npm"),
    npm_folder=HERE / "node",
)
CHANNELS = Peer(
    name="channels",
    command=[sys.executable, "-m", "benchmarks.peers.channels_peer"],
    modules=("django", "channels", "channels_redis", "daphne", "psycopg_pool", "requests"),
)

PEERS = {peer.name: peer for peer in (NODE, FASTAPI, CHANNELS)}

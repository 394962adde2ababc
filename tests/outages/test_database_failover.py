"""A failover to a standby that was behind: commits are lost, and their numbers are given again."""

import shutil
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from deploy.cluster.postgresql import PostgreSQL
from tests.support import backend, frames
from tests.support.client import connected
from tests.support.database import Database
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.server import eventually

PASSWORD = "failover"
NAME = "payments"


class Node:
    """One of two PostgreSQL servers, with a folder of its own beside the other's."""

    def __init__(self, folder, *, like):
        self.port = free_port()
        self.folder = folder
        self._programs, self._user = like.program.parent, like.user

    def start(self):
        options = f"-p {self.port} -h 127.0.0.1 -k '{self.folder}' -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-s", "-l", self.folder / "log", "-o", options)

    def stop(self):
        if (self.folder / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-w", "-s", "-m", "immediate")

    def copy(self, *, port):
        """Become a standby of the server behind a port."""
        self.folder.mkdir(mode=0o700)
        if self._user:
            shutil.chown(self.folder, self._user)
        source = ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
        self._run("pg_basebackup", *source, "-R", "-c", "fast", "--no-sync")
        self.start()

    def ask(self, query):
        with psycopg.connect(self.url(), autocommit=True) as connection:
            return connection.execute(query).fetchone()[0]

    def url(self, *, through=None):
        port = through.port if through else self.port
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/{NAME}"

    def _run(self, program, *arguments):
        command = [self._programs / program, "-D", self.folder, *arguments]
        subprocess.run(command, user=self._user, check=True, timeout=60, stdin=subprocess.DEVNULL)


@pytest.fixture
def nodes():
    """A primary and its standby. As root, PostgreSQL's own user must reach them: pytest's folders are closed."""
    folder = Path(tempfile.mkdtemp(prefix="failover-"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        made = PostgreSQL(folder=folder / "a", port=free_port())
        primary, standby = Node(folder / "a", like=made), Node(folder / "b", like=made)
        with (primary.folder / "pg_hba.conf").open("a") as file:
            file.write("host replication all 127.0.0.1/32 trust\n")
        with made.running():
            made.create_database(name=NAME, password=PASSWORD)
        for node in (primary, standby):
            stack.callback(node.stop)
        primary.start()
        yield primary, standby


@contextmanager
def losing_what_follows(primary, standby):
    """Copy the primary; what is committed within is lost, for the copy takes its place at the end."""
    with Proxy(primary.port) as replication:
        standby.copy(port=replication.port)
        written = f"SELECT pg_last_wal_replay_lsn() >= '{primary.ask('SELECT pg_current_wal_lsn()')}'"
        eventually(lambda: standby.ask(written))
        replication.cut(refuse=True)
        yield
        primary.stop()
        assert standby.ask("SELECT pg_promote()")


def test_after_a_failover_that_lost_commits_what_is_new_reaches_everybody(serve, nodes, connect, user_id):
    primary, standby = nodes
    with Proxy(primary.port) as name:
        server = serve(database=Database(primary.url(through=name)))
        plain, counting = connect(server), connect(server)
        plain.register(user_id)
        before = counting.register(user_id, lastSeq=0)
        kept = backend.ask(server, user_id)
        assert plain.receive() == frames.link(kept)
        assert counting.receive() == frames.link(kept) | {"seq": 1}

        with losing_what_follows(primary, standby):
            lost = [backend.ask(server, user_id) for _ in range(2)]
            assert [plain.receive() for _ in lost] == [frames.link(payment) for payment in lost]
            assert [counting.receive()["seq"] for _ in lost] == [2, 3]
        name.lead_to(standby.port)
        name.cut()
        eventually(lambda: server.http.get("/readyz").is_success)
        new = [backend.ask(server, user_id) for _ in range(3)]  # further than the numbers that were lost

        assert plain.close_code() == counting.close_code() == 4412  # nothing new comes by the old connections
        plain, counting, careless = connect(server), connect(server), connect(server)
        after = counting.register(user_id, lastSeq=3, epoch=before["epoch"])
        assert (after["lastSeq"], after["resumed"]) == (4, False)
        assert after["epoch"] != before["epoch"]
        assert careless.register(user_id, lastSeq=3)["resumed"] is False
        assert careless.register(user_id, lastSeq=1, epoch=after["epoch"])["resumed"] is True
        assert [careless.receive()["rideId"] for _ in new] == [payment["rideId"] for payment in new]
        assert plain.register(user_id) == frames.registered(user_id)
        assert [plain.receive() for _ in range(4)] == [frames.link(payment) for payment in (kept, *new)]
        last = backend.ask(server, user_id)
        assert plain.receive() == frames.link(last)
        assert counting.receive() == frames.link(last) | {"seq": 5}
        server.stop()


def test_after_the_old_primary_is_back_no_number_of_its_first_time_counts(serve, nodes, user_id):
    """Timeline 1, then 2, then 1 again: what the clients of timeline 1 missed meanwhile has the same numbers."""
    primary, standby = nodes
    with Proxy(primary.port) as name:
        server = serve(database=Database(primary.url(through=name)))
        with losing_what_follows(primary, standby), connected(server) as client:
            before = client.register(user_id, lastSeq=0)
            lost = [backend.ask(server, user_id) for _ in range(2)]
            assert [client.receive()["rideId"] for _ in lost] == [payment["rideId"] for payment in lost]

        def lead_to(node):
            name.lead_to(node.port)
            name.cut()
            eventually(lambda: server.http.get("/readyz").is_success)

        lead_to(standby)
        with connected(server) as client:
            between = client.register(user_id, lastSeq=2, epoch=before["epoch"])
            assert (between["lastSeq"], between["resumed"]) == (0, False)
        primary.start()
        lead_to(primary)
        with connected(server) as client:
            after = client.register(user_id, lastSeq=2, epoch=before["epoch"])
            assert (after["lastSeq"], after["resumed"]) == (2, False)
            assert len({before["epoch"], between["epoch"], after["epoch"]}) == 3
            assert client.register(user_id, lastSeq=2, epoch=after["epoch"])["resumed"] is True
        server.stop()

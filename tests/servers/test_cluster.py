"""`make cluster`: several workers on one port, and what becomes of them. It brings PostgreSQL and Valkey itself."""

import os
import shutil
import signal
import stat
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from django.core.management.base import CommandError

from deploy.cluster import restart
from tests.support import backend, frames
from tests.support.client import connected
from tests.support.cluster import Cluster
from tests.support.production import PRODUCTION
from tests.support.server import eventually, run
from tests.support.webhook import deliver, event

WORKERS = ("worker:worker-0", "worker:worker-1")


@pytest.fixture(scope="module")
def folder():
    """Clusters come and go; their data stays. As root, PostgreSQL's own user must reach it: pytest's are closed."""
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def cluster(folder):
    """A cluster of two workers."""
    cluster = Cluster(folder)
    cluster.start()
    yield cluster
    cluster.close()


@contextmanager
def a_client_on_each_worker(cluster, user_id):
    """Yield a registered client of each worker, by the worker's name."""
    with ExitStack() as stack:
        clients = {}

        def connect():
            client = stack.enter_context(connected(cluster))
            assert client.register(user_id) == frames.registered(user_id)
            clients[cluster.worker_of(client)] = client
            return len(clients) == 2

        eventually(connect)
        yield clients


class Visitors:
    """Clients that connect anew all the time, each kind in a thread of its own; `failures` has what went wrong."""

    def __init__(self, cluster):
        self._cluster = cluster
        self.http = httpx.Client(
            base_url=cluster.url,
            timeout=30,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._gone = threading.Event()
        self._threads = [
            threading.Thread(target=self._visit, args=[visit])
            for visit in (self._ask, self._connect, self._deliver)
        ]
        self.failures = []
        self.visits = 0

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._gone.set()
        for thread in self._threads:
            thread.join()
        self.http.close()

    def _visit(self, visit):
        while not self._gone.is_set():
            try:
                visit()
            except Exception as error:  # noqa: BLE001 whatever it is
                self.failures.append(f"{visit.__name__}: {error!r}")
            self.visits += 1
            self._gone.wait(0.05)

    def _ask(self):
        assert self.http.get("/healthz").is_success

    def _connect(self):
        with connected(self._cluster):
            pass

    def _deliver(self):
        assert deliver(self, event()).status_code == 200


def test_new_workers_take_over_one_at_a_time_and_nobody_is_refused(cluster, user_id):
    before = [cluster.pid(name) for name in WORKERS]

    with a_client_on_each_worker(cluster, user_id) as clients, Visitors(cluster) as visitors:
        restarted = cluster.run("deploy.cluster.restart")
        codes = [client.close_code() for client in clients.values()]

    assert restarted.returncode == 0, restarted.stderr
    assert "worker-1 restarted" in restarted.stdout
    assert not set(before) & {cluster.pid(name) for name in WORKERS}
    assert codes == [4412, 4412]
    assert visitors.failures == []
    assert visitors.visits > 20


def test_workers_deliver_to_each_others_clients(cluster, user_id):
    with a_client_on_each_worker(cluster, user_id) as clients:
        payment = backend.ask(cluster, user_id)

        for client in clients.values():
            assert client.receive() == frames.link(payment)


def succeeds(cluster, path):
    try:
        return cluster.http.get(path).is_success
    except httpx.TransportError:  # the system had given the connection to the process that was killed
        return False


def test_what_is_killed_comes_back_while_the_other_worker_serves(cluster, user_id):
    kill = {"worker:worker-0": signal.SIGKILL, "valkey": signal.SIGTERM, "postgresql": signal.SIGKILL}
    with a_client_on_each_worker(cluster, user_id) as clients:
        before = {name: cluster.pid(name) for name in kill}
        for name, number in kill.items():
            os.kill(before[name], number)

        assert clients["worker:worker-0"].close_code() is None
        eventually(lambda: succeeds(cluster, "/healthz"))
        eventually(lambda: all(cluster.pid(name) not in {0, before[name]} for name in kill))
        eventually(lambda: succeeds(cluster, "/readyz"))
        payment = backend.ask(cluster, user_id)
        assert clients["worker:worker-1"].receive() == frames.link(payment)


def test_a_worker_that_does_not_come_up_leaves_the_others_as_they_are(cluster, monkeypatch):
    before = cluster.pid(WORKERS[1])
    monkeypatch.setattr(restart, "READY_SECONDS", 3)

    with (
        psycopg.connect(restart.settings_of(cluster.folder)["DATABASE_URL"]) as connection,
        restart.connected(cluster.folder) as supervisor,
    ):
        connection.execute("LOCK TABLE django_migrations")  # it waits for that before it serves
        with pytest.raises(CommandError, match="worker-0 does not come up"):
            restart.restart_workers(folder=cluster.folder, supervisor=supervisor)
        assert cluster.http.get("/healthz").is_success
        with restart.notices(cluster.folder / "notify") as notified:
            connection.rollback()
            monkeypatch.undo()
            restart.wait_until_ready(WORKERS[0], supervisor=supervisor, notified=notified)

    assert cluster.pid(WORKERS[1]) == before


def test_commands_reach_the_cluster_by_its_file_of_settings(cluster, user_id):
    payment = backend.ask(cluster, user_id)
    settings = restart.settings_of(cluster.folder)

    replay = run("manage.py", "replay_webhooks", "--ride", payment["rideId"], **settings)

    assert replay.returncode == 0, replay.stderr
    assert stat.S_IMODE((cluster.folder / "env").stat().st_mode) == 0o600


def test_what_the_cluster_writes_is_for_its_user_alone(cluster):
    written = [path for path in cluster.folder.rglob("*") if path.is_file() and path.name != "out"]

    assert {"postgresql.log", "valkey.log", "worker-0.log", "supervisord.log", "PG_VERSION"} <= {
        path.name for path in written
    }
    assert [path for path in written if path.stat().st_mode & 0o077] == []


def test_no_row_gets_into_the_log_of_postgresql(cluster, user_id):
    fail = "BEGIN RAISE EXCEPTION 'as a full disk would' USING ERRCODE = '53100'; END"
    with psycopg.connect(restart.settings_of(cluster.folder)["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ {fail} $$")
        connection.execute(
            "CREATE TRIGGER fail BEFORE UPDATE ON payments_payment FOR EACH ROW EXECUTE FUNCTION fail()"
        )
        refused = backend.post(cluster, "/api/payments", backend.order(user_id))
        connection.execute("DROP FUNCTION fail CASCADE")
        with pytest.raises(psycopg.errors.NotNullViolation, match="Failing row contains"):
            connection.execute(f"INSERT INTO notifications_feed (user_id) VALUES ('{user_id}')")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="JSON data"):
            connection.execute("SELECT %s::json", [f'{{"{user_id}": nothing}}'])

    assert refused.status_code == 503
    logs = [*cluster.folder.glob("postgresql.log*"), cluster.folder / "postgresql" / "log"]

    def text_with_all_three():  # supervisor passes the log on
        text = "".join(path.read_text() for path in logs)
        errors = (
            "as a full disk would",
            "violates not-null constraint",
            "invalid input syntax for type json",
        )
        return text if all(error in text for error in errors) else ""

    text = eventually(text_with_all_three)
    assert user_id not in text
    assert "cs_test_" not in text


def test_the_settings_of_a_production_are_taken_with_those_of_the_cluster():
    code = "from deploy.cluster.plan import load_settings, make_plan; load_settings(make_plan().settings())"
    ran = run("-c", code, **PRODUCTION)

    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_second_restart_at_the_same_time_is_refused(cluster):
    with restart.alone(cluster.folder):
        refusal = cluster.run("deploy.cluster.restart")

    assert refusal.returncode == 1
    assert refusal.stderr == "A restart is under way already: wait until it has ended.\n"


def test_a_second_cluster_in_the_same_folder_is_refused(cluster):
    refusal = cluster.run("deploy.cluster")

    assert (refusal.returncode, refusal.stdout) == (1, "")
    assert f"A cluster runs in {cluster.folder} already." in refusal.stderr


def test_a_port_that_is_taken_is_refused(cluster):
    refusal = cluster.run("deploy.cluster", CLUSTER_DIR=str(cluster.folder / "other"))

    assert refusal.returncode == 1
    assert refusal.stderr.endswith("Set PORT to a free port.\n")


def test_a_terminal_that_is_closed_ends_it_in_good_order(folder):
    cluster = Cluster(folder / "terminal")
    cluster.start()
    with connected(cluster) as client, ThreadPoolExecutor(1) as pool:
        code = pool.submit(cluster.stop, signal.SIGHUP)
        assert client.close_code() == 4412
        assert code.result() == 0
    assert cluster.folder.stat().st_mode & 0o066 == 0
    cluster.close()

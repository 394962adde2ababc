"""A server process from its start to its end."""

import re
import resource
import signal
import socket
import uuid
from contextlib import ExitStack, closing

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.support import backend
from tests.support.client import connected
from tests.support.database import empty_database
from tests.support.frames import registered
from tests.support.server import Server, run

PLAIN_UVICORN = (
    "-m",
    "uvicorn",
    "payments_project.asgi:application",
    "--host",
    "localhost",
    "--no-access-log",
)


def cpu_seconds():
    """Return how long the processes that have ended worked."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_signal_ends_it_in_good_order_and_the_next_start_is_quick_and_finds_all(serve, user_id):
    server = serve()
    payment = backend.ask(server, user_id)
    assert end_while_clients_are_connected(server, signal.SIGINT) == 0
    before = cpu_seconds()

    server.start()
    assert backend.read(server, payment) == payment
    assert end_while_clients_are_connected(server, signal.SIGTERM) == 0
    assert cpu_seconds() - before < 4

    server.start(*PLAIN_UVICORN, "--port", str(server.port))
    assert backend.read(server, payment) == payment
    assert end_while_clients_are_connected(server, signal.SIGINT) in {0, -signal.SIGINT}
    assert "Traceback" not in server.log


def test_an_interrupt_while_django_is_imported_is_no_traceback(tmp_path):
    package = tmp_path / "django"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)"
    )
    ended = run("manage.py", "serve", PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (130, "")


def end_while_clients_are_connected(server, number):
    """Return the exit code."""
    with connected(server) as client, connected(server):
        assert client.register("a user") == registered("a user")
        code = server.stop(number)
        with pytest.raises(ConnectionClosed):
            client.receive()
    return code


OUTPUTS = {
    "what cannot be written to": "os.open(os.devnull, os.O_RDONLY)",
    "a pipe that nobody reads": "(ends := os.pipe(), os.close(ends[0]))[0][1]",
}


def test_output_that_goes_nowhere_does_not_keep_it_from_serving(serve):
    """As on a full disk, or in front of a program that has ended."""
    server = serve()
    for output in OUTPUTS.values():
        server.stop()
        script = f"import os, sys; os.dup2({output}, 1); os.execv(sys.executable, [sys.executable, 'manage.py', 'serve'])"
        server.start("-c", script)
        assert server.http.get("/healthz").status_code == 200


def test_it_says_where_everything_is(server):
    said = server.out

    for address in ("/", "/api/docs", "/admin/", "/healthz", "/sandbox/"):
        assert f"{server.url}{address} " in said
    assert server.url.replace("http", "ws", 1) + "/basic/ws" in said
    assert re.search(r"admin / [\w-]{16}, shown this once", said)
    assert "Authorization: Bearer dev-key" in said
    assert said.endswith(f"Open {server.url}/ first. Ctrl-C stops it.\n")


def test_processes_share_a_listening_socket_that_they_are_passed(tmp_path, django_db_setup):
    with (
        empty_database(tmp_path, template=django_db_setup) as database,
        socket.create_server(("127.0.0.1", 0)) as shared,
        ExitStack() as stack,
    ):
        servers = []
        for folder in (tmp_path / "first", tmp_path / "second"):
            folder.mkdir()
            port = shared.getsockname()[1]
            server = Server(folder=folder, database=database, port=port)
            stack.callback(server.close)
            servers.append(server)
        for server in servers:
            server.start("manage.py", "serve", "--fd", str(shared.fileno()), pass_fds=[shared.fileno()])

        assert servers[0].stop() == 0
        payment = backend.ask(servers[1], "somebody")
        assert backend.read(servers[1], payment) == payment
        assert servers[1].out == ""


def test_clients_behind_a_proxy_on_a_unix_socket_are_told_apart_where_it_is_trusted(
    tmp_path, django_db_setup
):
    path, addresses = str(tmp_path / "s"), [f"2001:db8:{uuid.uuid4().hex[:4]}:{n}::1" for n in (1, 2)]
    empty = empty_database(tmp_path, template=django_db_setup)
    with empty as database, closing(socket.socket(socket.AF_UNIX)) as shared:
        shared.bind(path)
        shared.listen()
        trusted = {"TRUSTED_PROXIES": "unix:", "LIMITS": "failures-per-address=1"}
        server = Server(folder=tmp_path, database=database, **trusted)
        server.http = httpx.Client(transport=httpx.HTTPTransport(uds=path), base_url=server.url)
        with closing(server):
            server.start("manage.py", "serve", "--fd", str(shared.fileno()), pass_fds=[shared.fileno()])

            wrong = [{"Authorization": "Bearer x", "X-Forwarded-For": each} for each in addresses * 2]
            answers = [server.http.get("/api/payments", headers=headers).status_code for headers in wrong]
            assert answers == [401, 401, 429, 429]


def test_what_is_no_listening_socket_is_refused(server):
    refusal = server.run("serve", "--fd", "99")

    assert refusal.returncode == 1
    assert refusal.stderr.strip().endswith(
        "File descriptor 99 is no listening socket. Let a process manager pass one, or leave out --fd."
    )


def test_with_debug_no_statement_is_kept():
    """Django keeps 9,000 of each thread, for as long as the thread makes no request of Django's own."""
    code = (
        "from payments_project.asgi import application\n"
        "from django.db import connection\n"
        "from threading import Thread\n"
        "def work():\n"
        "    connection.cursor().execute('SELECT 1')\n"
        "    print(connection.queries_logged, connection.queries)\n"
        "Thread(target=work).start()"
    )

    result = run(
        "-W",
        "ignore",
        "-c",
        code,
        DATABASE_URL="sqlite:///:memory:",
        STRIPE_SANDBOX="0",
        STRIPE_SECRET_KEY="sk_test_12345678",
        STRIPE_WEBHOOK_SECRETS="whsec_Vt6qLz3NcX8wRb5KpY1mJd9H",
    )

    assert result.stdout == "True []\n", result.stderr


def test_a_new_database_of_sqlite_is_for_its_user_alone(tmp_path):
    file = tmp_path / "db.sqlite3"
    write = (
        "import glob; from django.db import connection; connection.cursor().execute('CREATE TABLE a (b)')\n"
        f"for name in glob.glob('{file}*'): print(name, oct(__import__('os').stat(name).st_mode & 0o777))"
    )

    made = run("manage.py", "shell", "-c", write, DATABASE_URL=f"sqlite:///{file}", REDIS_URL="")

    assert made.returncode == 0, made.stderr
    written = dict(line.split() for line in made.stdout.splitlines() if line.startswith(str(file)))
    assert written == {f"{file}{end}": "0o600" for end in ("", "-wal", "-shm")}

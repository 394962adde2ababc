"""The servers of a Django developer: `manage.py runserver` and plain `daphne`. All that `serve` serves is there."""

import os
import re
import signal
import socket
from contextlib import suppress
from itertools import count

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support import backend, frames, sandbox
from tests.support.client import connected
from tests.support.ports import free_port
from tests.support.production import PRODUCTION
from tests.support.server import Server, eventually, run
from tests.support.webhook import deliver, event

RUNSERVER = ("manage.py", "runserver")
DAPHNE = ("-m", "daphne", "-v", "0", "payments_project.asgi:application", "-b", "127.0.0.1", "-p")


@pytest.fixture
def start(serve, server):
    """Start a development server that has the database of the shared server."""
    return lambda *command, **settings: serve(*command, beside=server, **settings)


def commands(port):
    return {
        "runserver with an address": ((*RUNSERVER, f"127.0.0.1:{port}"), {}),
        "runserver without reload": ((*RUNSERVER, "--noreload"), {"PORT": str(port)}),
        "daphne": ((*DAPHNE, str(port)), {"PORT": str(port)}),
    }


@pytest.fixture(scope="module", params=commands(0))
def developer(request, tmp_path_factory, server):
    """Each of them in turn. Where the command line has the port, PORT is not set."""
    port = free_port()
    command, settings = commands(port)[request.param]
    developer = Server(folder=tmp_path_factory.mktemp("server"), database=server.database, port=port)
    if not settings:
        developer.unset("PORT")
    developer.start(*command)
    yield developer
    developer.stop(signal.SIGTERM)
    developer.close()


def test_a_rider_gets_the_link_and_pays(developer, connect, user_id):
    client = connect(developer)
    assert client.register(user_id) == frames.registered(user_id)
    client.send("nonsense")
    assert client.receive() == frames.INVALID

    payment = backend.ask(developer, user_id)
    assert client.receive() == frames.link(payment)
    assert payment["paymentUrl"].startswith(f"http://localhost:{developer.port}/")
    assert sandbox.choose(developer, payment, "pay").status_code == 303
    assert client.receive() == frames.status(payment, "succeeded")
    assert deliver(developer, event()).status_code == 200
    assert payment["stripeSessionId"] not in developer.out + developer.log


def test_a_subprotocol_that_is_offered_is_selected(developer, connect, user_id):
    client = connect(developer, subprotocols=["v1", "v2"])
    assert client.subprotocol == "v1"
    assert client.register(user_id) == frames.registered(user_id)


def test_pages_and_what_they_load_are_there(developer):
    for path in ("/", "/api/docs", "/admin/login/", "/sandbox/", "/checkout/success", "/readyz"):
        page = developer.http.get(path)
        assert page.status_code == 200, path
        loaded = re.findall(r'(?:src|href)="(/[^"#?]+\.(?:js|css|svg))"', page.text)
        assert [url for url in loaded if developer.http.get(url).status_code != 200] == []


@pytest.mark.parametrize("settings", [{"STRIPE_SANDBOX": "1"}, PRODUCTION], ids=["sandbox", "production"])
def test_no_thread_runs_before_the_first_request(server, settings):
    """A server may import the application, then fork: what a thread holds at that moment is held for ever."""
    code = "import threading, payments_project.asgi; print([thread.name for thread in threading.enumerate()])"
    ran = run("-c", code, **settings | {"DATABASE_URL": server.database.url})
    assert (ran.stdout, ran.stderr) == ("['MainThread']\n", "")


def own_address():
    """Return the address of this machine by which others reach it; None if it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, suppress(OSError):
        sock.connect(("192.0.2.1", 9))  # nothing is sent
        return sock.getsockname()[0]


@pytest.mark.skipif(not own_address(), reason="this machine has no network")
def test_a_server_that_listens_everywhere_serves_no_other_machine_unless_asked_to(start):
    """A connection from the address of the network comes as those of other machines do."""
    host, port = own_address(), free_port()
    daphne = (*DAPHNE[:-3], "-b", "0.0.0.0", "-p", str(port))
    developer = start(*daphne, port=port)

    def ask():
        return httpx.get(f"http://{host}:{port}/healthz", headers={"Host": "localhost"}, trust_env=False)

    refused = ask()
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "development")
    assert "EXPOSE_DEVELOPMENT=1" in refused.text
    with pytest.raises(InvalidStatus), connect(f"ws://{host}:{port}/basic/ws", proxy=None):
        pass
    assert developer.http.get("/healthz").status_code == 200

    developer.stop()
    developer.start(*daphne, EXPOSE_DEVELOPMENT="1")
    assert ask().status_code == 200


def test_runserver_serves_again_when_the_code_changes(start, tmp_path):
    code = tmp_path / "changing_settings.py"
    code.write_text("from payments_project.settings import *\n")
    developer = start(*RUNSERVER, PYTHONPATH=str(tmp_path), DJANGO_SETTINGS_MODULE="changing_settings")

    def started():
        text = developer.http.get("/metrics", headers=backend.KEY).text
        return re.search(r"^process_start_time_seconds (.+)$", text, re.MULTILINE)[1]

    before, times = started(), count(2**31)

    def change_until_it_is_seen():
        os.utime(code, (1, next(times)))  # the first look of the one who watches may just be to come
        return "changed, reloading" in developer.log

    eventually(change_until_it_is_seen)
    eventually(developer.is_serving)
    assert started() != before
    with connected(developer) as client:
        assert client.register("a user") == frames.registered("a user")


@pytest.mark.parametrize(
    ("given", "host", "options"),
    [("", "127.0.0.1", ()), ("localhost:", "localhost", ()), ("0:", "0.0.0.0", ("--noreload",))],
)
def test_runserver_ends_where_the_port_is_taken(given, host, options):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refusal = run(*RUNSERVER, f"{given}{port}", *options, EXPOSE_DEVELOPMENT="1")

    assert refusal.returncode == 1
    assert refusal.stderr == (
        f"CommandError: Cannot listen on {host}:{port}: Address already in use. Set PORT to a free port.\n"
    )


def test_runserver_refuses_a_production_and_says_how_to_develop():
    refusal = run(*RUNSERVER, DEBUG="0", PORT=str(free_port()))

    assert refusal.returncode == 1
    assert refusal.stderr.startswith("CommandError: ")
    assert refusal.stderr.endswith("To develop, set DEBUG=1: `make run` writes a .env with it.\n")
    assert "Traceback" not in refusal.stderr

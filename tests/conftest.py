"""Servers that tests share, and clients of theirs. Whoever changes how a server behaves has one of their own."""

import uuid
from contextlib import ExitStack, contextmanager

import pytest

from tests.support import frames, sandbox
from tests.support.client import connected
from tests.support.database import empty_database
from tests.support.server import Server


@pytest.fixture(scope="session")
def processes():
    """Hold what all servers opened, until each has ended."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def serve_all(processes, tmp_path_factory, django_db_setup):
    """Start servers that several modules share."""
    with serving(processes, tmp_path_factory, django_db_setup) as start:
        yield start


@pytest.fixture(scope="module")
def serve(processes, tmp_path_factory, django_db_setup):
    """Start servers of a module's own: they end with it, and give their connections back."""
    with serving(processes, tmp_path_factory, django_db_setup) as start:
        yield start


@contextmanager
def serving(processes, tmp_path_factory, template):
    """Yield a function that starts servers, and ask all of them to end afterwards; `processes` waits for each."""

    def start(*command, beside=None, database=None, **settings):
        """Start a server with an empty database, one of the test's, or that of the server `beside` it."""
        folder = tmp_path_factory.mktemp("server")
        if beside:
            database = beside.database
        elif not database:
            database = processes.enter_context(empty_database(folder, template=template))
        server = Server(folder=folder, database=database, **settings)
        processes.callback(server.close)
        servers.append(server)
        server.start(*command)
        return server

    servers = []
    yield start
    for server in servers:
        server.ask_to_stop()


@pytest.fixture(scope="session")
def server(serve_all):
    """`manage.py serve`, as everybody starts with. No test ends it or changes how it behaves for others."""
    return serve_all()


@pytest.fixture(scope="session")
def frail(serve_all):
    """A server whose Redis is away for good, and that writes all it can into its log."""
    return serve_all(REDIS_URL="redis://localhost:1/0", LOG_LEVEL="DEBUG")


IMPATIENT = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))
from payments_project.serving import limits
limits.REQUEST_SECONDS, limits.KEEP_ALIVE_SECONDS = 0.5, 3
import sys
sys.argv = ["manage.py", "serve"]
import manage
manage.main()
"""


@pytest.fixture(scope="session")
def impatient(serve_all):
    """A server with less patience than usual, and few files to open."""
    return serve_all("-c", IMPATIENT, TRUSTED_PROXIES="127.0.0.1,::1")  # an address may not have all


@pytest.fixture
def user_id():
    """A user nobody else has."""
    return f"user-{uuid.uuid4().hex}"


@pytest.fixture
def connect():
    """Open WebSockets; all are closed with the test."""
    with ExitStack() as stack:
        yield lambda server, **how: stack.enter_context(connected(server, **how))


@pytest.fixture
def rider(server, connect, user_id):
    """A client that is registered as `user_id`."""
    client = connect(server)
    assert client.register(user_id) == frames.registered(user_id)
    return client


@pytest.fixture
def deliver(server):
    """Choose how the sandbox delivers new events, until the end of the test."""
    yield lambda mode: sandbox.control(server, "set_mode", mode=mode)
    sandbox.control(server, "set_mode", mode="normal")

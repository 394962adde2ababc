"""Where a server listens: on each address of HOST that this machine has, and nowhere else."""

import socket
import uuid
from contextlib import closing

import pytest
from django.core.management.base import CommandError

from payments_project.serving.listening import listen
from tests.support import backend, sandbox
from tests.support.frames import registered
from tests.support.ports import free_port
from tests.support.server import run

ELSEWHERE = "192.0.2.1"
"""An address that no machine has (RFC 5737)."""


def answers(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with closing(socket.socket(family)) as sock:
        return sock.connect_ex((address, port)) == 0


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


HOSTS = {"0.0.0.0": "localhost", "127.0.0.2": "127.0.0.2"} | (
    {"::1": "[::1]", "::": "localhost"} if has_ipv6() else {}
)


@pytest.mark.parametrize("host", HOSTS)
def test_a_service_on_one_address_serves_its_sandbox_and_its_links_there(serve, connect, host):
    server = serve(HOST=host, local_host=HOSTS[host], EXPOSE_DEVELOPMENT="1")
    client = connect(server)
    user_id = uuid.uuid4().hex
    assert client.register(user_id) == registered(user_id)

    payment = backend.ask(server, user_id)
    assert payment["paymentUrl"].startswith(f"http://{HOSTS[host]}:{server.port}/")
    sandbox.choose(server, payment, "pay")
    assert client.receive()["status"] == "pending"
    assert client.receive()["status"] == "succeeded"
    assert f"http://{HOSTS[host]}:{server.port}/" in server.out


def test_on_every_ipv6_address_ipv4_is_served_too():
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    port = free_port()
    with closing(listen(host="::", port=port)[0]):
        assert answers("127.0.0.1", port)
        assert answers("::1", port)


def test_an_address_in_brackets_is_shown_where_to_open_it(serve):
    server = serve(PUBLIC_URL="http://[fd00::2]:9090", EXPOSE_DEVELOPMENT="1")
    assert server.out.count("http://[fd00::2]:9090/") > 1


def test_an_address_of_a_name_that_this_machine_lacks_is_left_out(monkeypatch):
    """As ::1 of localhost in a container without IPv6. A name may be listed twice, too."""
    port = free_port()
    listed = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
        for address in (ELSEWHERE, "127.0.0.1", "127.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: listed)

    (sock,) = listen(host="localhost", port=port)

    with closing(sock):
        assert sock.getsockname() == ("127.0.0.1", port)


@pytest.mark.parametrize("host", [ELSEWHERE, "nothing.invalid"])
def test_a_host_that_is_none_of_this_machine_is_not_called_a_port_that_is_taken(host):
    with pytest.raises(CommandError) as refusal:
        listen(host=host, port=free_port())

    assert str(refusal.value).startswith(f"HOST is {host}, ")
    assert "Set HOST to localhost, " in str(refusal.value)
    assert "PORT" not in str(refusal.value)


def test_a_port_that_is_taken_on_one_address_lets_none_go_on():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=r"Address already in use\. Set PORT to a free port\."):
            listen(host="localhost", port=port)
        assert not answers("::1", port)


def test_settings_can_be_read_where_the_system_has_other_names_for_keepalive():
    code = (
        "import socket; del socket.TCP_KEEPIDLE; socket.TCP_KEEPALIVE = 16\n"  # as macOS has it
        "from payments_project.settings import REDIS_CONNECTION\n"
        "print(REDIS_CONNECTION['socket_keepalive_options'][16])"
    )

    result = run("-c", code)

    assert (result.stdout, result.stderr) == ("30\n", "")

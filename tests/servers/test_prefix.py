"""The service under a prefix, behind proxies that strip it and that do not, on each server."""

import re
from http import HTTPStatus

import pytest

from tests.servers.test_development_servers import DAPHNE, RUNSERVER
from tests.support import backend, frames, sandbox
from tests.support.ports import free_port
from tests.support.raw_http import head, raw_connection
from tests.support.server import Server
from tests.support.webhook import event, signed

PREFIX = "/rides/pay"


def commands(port):
    """Return each server's command, and whether PUBLIC_URL has the prefix or the server alone."""
    return {
        "serve": (("manage.py", "serve"), True),
        "runserver": ((*RUNSERVER, "--noreload"), True),
        "daphne --root-path": ((*DAPHNE, str(port), "--root-path", PREFIX), False),
    }


@pytest.fixture(scope="module", params=commands(0))
def prefixed(request, tmp_path_factory, server):
    port = free_port()
    command, has_public_url = commands(port)[request.param]
    settings = {"PUBLIC_URL": f"http://localhost:{port}{PREFIX}"} if has_public_url else {}
    prefixed = Server(
        folder=tmp_path_factory.mktemp("server"), database=server.database, port=port, **settings
    )
    prefixed.files = f"{PREFIX if has_public_url else ''}/static/"
    prefixed.start(*command)
    yield prefixed
    prefixed.stop()
    prefixed.close()


@pytest.fixture(params=["", PREFIX], ids=["the proxy strips it", "the proxy does not"])
def seen(request):
    """What is left of the prefix when a request arrives."""
    return request.param


def test_a_rider_pays_under_a_prefix(prefixed, seen, connect, user_id):
    client = connect(prefixed, path=f"{seen}/basic/ws")
    assert client.register(user_id) == frames.registered(user_id)

    answer = backend.post(prefixed, f"{seen}/api/payments", backend.order(user_id))
    assert answer.status_code == HTTPStatus.CREATED
    payment = answer.json()
    assert client.receive() == frames.link(payment)
    assert sandbox.choose(prefixed, payment, "pay").status_code == HTTPStatus.SEE_OTHER
    assert client.receive() == frames.status(payment, "succeeded")

    assert payment["stripeSessionId"] not in prefixed.out + prefixed.log

    body = event()
    delivered = prefixed.http.post(f"{seen}/webhooks/stripe/", content=body, headers=signed(body))
    assert delivered.status_code == HTTPStatus.OK


def test_redirects_and_errors_are_those_of_the_prefix(prefixed, seen):
    for path in ("/admin/", "/admin"):
        answer = prefixed.http.get(seen + path)
        assert answer.headers["Location"].startswith(f"{PREFIX}/admin/")
    for path in ("/api/nothing", "/webhooks/nothing"):
        answer = prefixed.http.get(seen + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert prefixed.http.get(f"{seen}/readyz").status_code == HTTPStatus.OK
    assert prefixed.http.get(f"{PREFIX}like/readyz").status_code == HTTPStatus.NOT_FOUND


def test_pages_lead_to_what_is_there(prefixed, seen):
    """Links to files go by PUBLIC_URL alone: Django writes them down before it knows of any request."""
    for path in ("/", "/api/docs", "/sandbox/", "/checkout/success"):
        page = prefixed.http.get(seen + path)
        assert page.status_code == HTTPStatus.OK, path
        links = re.findall(r'(?:src|href|action|data-api|data-socket)="(/[^"#?]*)', page.text)
        assert [link for link in links if not link.startswith((f"{PREFIX}/", prefixed.files))] == [], path
        loaded = [link for link in links if link.startswith(prefixed.files)]
        assert [link for link in loaded if not prefixed.http.get(link).is_success] == []


def test_a_login_holds_under_the_prefix_of_public_url_alone(prefixed, seen):
    cookie = prefixed.http.get(f"{seen}/admin/login/").headers["Set-Cookie"]
    assert cookie.endswith(f"Path={prefixed.files.removesuffix('/static/') or '/'}; SameSite=Lax")


def test_a_prefix_that_a_stranger_names_leads_nowhere(prefixed):
    """Daphne takes one from a header."""
    for named in (b"//evil.example", b"/x", b"\\evil.example"):
        with raw_connection(prefixed) as sock:
            sock.sendall(head(b"GET /admin/", b"Daphne-Root-Path: " + named, b"Connection: close"))
            assert b"evil" not in sock.makefile("rb").read()
    handshake = (
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Daphne-Root-Path: /x",
    )
    with raw_connection(prefixed) as sock:
        sock.sendall(head(b"GET /basic/ws", *handshake))
        assert sock.recv(12) == b"HTTP/1.1 101"
    assert "Traceback" not in prefixed.log

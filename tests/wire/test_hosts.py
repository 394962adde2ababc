"""A request for a host name that is not the service's: whoever sends it learns which setting admits it."""

import pytest

from tests.support import backend
from tests.support.raw_http import Answers, head, raw_connection
from tests.support.server import eventually
from tests.support.webhook import event, signed

REFUSAL = (
    "This service does not answer to the host elsewhere.example:81. If it should, add it to ALLOWED_HOSTS."
)
ELSEWHERE = {"Host": "elsewhere.example:81"}


def test_a_program_is_answered_in_json(server):
    answer = server.http.get("/api/payments", headers=ELSEWHERE | backend.KEY)

    assert answer.status_code == 400
    assert answer.json() == {"error": {"code": "unknown_host", "message": REFUSAL}}


@pytest.mark.parametrize("signature", [{}, signed(b"{}")], ids=["unsigned", "signed"])
@pytest.mark.parametrize("path", ["/webhooks/stripe/", "/webhooks/stripe"])
def test_a_webhook_is_answered_before_its_signature_is_looked_at(server, path, signature):
    answer = server.http.post(path, content=b"{}", headers=ELSEWHERE | signature)

    assert answer.status_code == 400
    assert answer.json() == {"error": {"code": "unknown_host", "message": REFUSAL}}


@pytest.mark.parametrize("path", ["/basic/ws", "/nowhere"])
def test_a_handshake_is_answered_in_a_line_of_text(server, path):
    with raw_connection(server) as sock:
        answers = Answers(sock)
        sock.sendall(handshake(path, "elsewhere.example:81"))

        assert next(answers) == (400, f"{REFUSAL}\n".encode())
        assert answers.is_at_end()


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80", "localhost."])
def test_a_handshake_and_a_webhook_for_a_known_host_are_taken(server, name):
    body = event()
    answer = server.http.post("/webhooks/stripe/", content=body, headers=signed(body) | {"Host": name})
    assert answer.status_code == 200

    with raw_connection(server) as sock:
        sock.sendall(handshake("/basic/ws", name))
        assert sock.recv(65536).startswith(b"HTTP/1.1 101 ")


def test_a_probe_is_answered_in_a_line_of_text(server):
    answer = server.http.get("/healthz", headers=ELSEWHERE | {"Accept": "*/*"})

    assert (answer.status_code, answer.text) == (400, f"{REFUSAL}\n")


def test_a_browser_is_shown_the_setting(server):
    answer = server.http.get("/admin/", headers=ELSEWHERE | {"Accept": "text/html,*/*;q=0.8"})

    assert answer.status_code == 400
    assert "This service does not answer to elsewhere.example:81" in answer.text
    assert "ALLOWED_HOSTS=localhost,127.0.0.1,[::1],elsewhere.example<" in answer.text
    assert "Traceback" not in answer.text


def handshake(path, host):
    fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    fields.append("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    return head(f"GET {path}".encode(), *(field.encode() for field in fields), host=host.encode())


@pytest.mark.parametrize("name", ["<script>", "a b", "[::", "x" * 500, "ü".encode(), "localhost:port"])
def test_what_is_no_host_name_is_refused_the_same_way(server, name):
    answer = server.http.get("/", headers={"Host": name, "Accept": "text/html"})

    assert answer.status_code == 400
    assert "does not answer to" in answer.text
    assert "<script>" not in answer.text
    assert "x" * 101 not in answer.text


def test_the_log_says_it_once_a_minute_without_a_traceback(serve):
    server = serve()
    for _ in range(5):
        server.http.get("/", headers=ELSEWHERE)

    said = "A request for the host elsewhere.example:81 was refused. If that is this service, add it to ALLOWED_HOSTS."
    eventually(lambda: said in server.log)
    assert server.log.count("refused") == 1
    assert len(server.log.splitlines()) == 1

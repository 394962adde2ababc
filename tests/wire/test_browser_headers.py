"""What every answer says to browsers, whoever wrote it: Django, the file server, the webhook, or a refusal."""

import re

import pytest

from payments_project.middleware.headers import NOTHING
from tests.support import backend, staff
from tests.support.raw_http import Answers, head, raw_connection
from tests.support.server import eventually
from tests.support.services import STACK

PASSWORD = "a-password-of-enough-length"
ALWAYS = {
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
FOR_PROGRAMS = [
    ("GET", "/api/payments"),
    ("GET", "/api/nothing"),
    ("GET", "/api/openapi.json"),
    ("POST", "/webhooks/stripe/"),
    ("GET", "/webhooks/nothing"),
    ("GET", "/static/site.css"),
    ("GET", "/static/nothing.css"),
    ("GET", "/v1/events"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("POST", "/api/payments?" + "&" * 2000),
]


@pytest.fixture(scope="module")
def public(serve, server):
    """A server as in production, with TLS before it."""
    key = "Gx7mQ2vTz9LkRb4nWs8YcJ1d"
    server = serve(
        beside=server,
        DEBUG="0",
        SECRET_KEY="pV3zq8Rk1Ynw7TuhMd0XsC5jAeLgB2fo-HJ9ivQKr6tZxEaWNmUy4P",
        API_KEYS=key,
        PUBLIC_URL="https://pay.example",
        STRIPE_SANDBOX="1",
        EXPOSE_DEVELOPMENT="1",
        NOTIFICATIONS_TOKEN_SECRET="Hn5wZ8kTq3Xr7VbYc1MjL9sPd2GfR6aE",
        ALLOWED_ORIGINS="https://app.example,https://.riders.example:8443,capacitor://localhost",
        RETURN_HOSTS="shop.example,.riders.example",
    )
    server.http.headers["Authorization"] = f"Bearer {key}"
    return server


@pytest.mark.parametrize(("method", "path"), FOR_PROGRAMS)
def test_what_is_no_page_lets_a_browser_run_and_load_nothing(server, method, path):
    answer = server.http.request(method, path)

    assert answer.headers.get_list("content-security-policy") == [NOTHING]
    assert answer.headers.items() >= ALWAYS.items()
    assert "camera=()" in answer.headers["permissions-policy"]


def test_no_cache_keeps_an_answer_of_the_api(server, user_id):
    payment, user = backend.ask(server, user_id), f"/api/users/{user_id}"
    requests = [
        ("GET", "/api/payments", 200, {}),
        ("GET", "/api/payments", 401, {"headers": {"Authorization": "Bearer x"}}),
        ("GET", f"/api/payments/{payment['id']}", 200, {}),
        ("POST", f"/api/payments/{payment['id']}/cancel", 200, {}),
        ("POST", f"/api/payments/{payment['id']}/refund", 400, {"json": {}}),
        ("GET", f"{user}/notifications", 200, {}),
        ("POST", f"{user}/token", 409, {}),
        ("POST", f"{user}/disconnect", 204, {}),
        ("PUT", "/api/payments", 405, {}),
        ("GET", "/api/nothing", 404, {}),
        ("POST", "/api/payments", 413, {"content": b"x" * (1024 * 1024 + 1)}),
        ("GET", "/api/payments?" + "&" * 2000, 400, {}),
        ("GET", "/api/payments", 400, {"headers": {"Host": "elsewhere.example"}}),
        ("GET", "/api/payments", 431, {"headers": {f"X-{number}": "" for number in range(120)}}),
    ]
    for method, path, status, more in requests:
        answer = server.http.request(method, path, **{"headers": backend.KEY} | more)
        kept = answer.headers.get_list("Cache-Control")
        assert (answer.status_code, kept) == (status, ["no-store"]), f"{method} {path}: {answer.text}"


def test_cookies_of_a_production_go_over_tls_alone_and_to_no_script_and_no_other_site(public, user_id):
    staff.make_user(public, user_id, PASSWORD)
    tls = {"Host": "localhost", "X-Forwarded-Proto": "https", "Origin": "https://pay.example"}
    page = public.http.get(staff.LOGIN, headers=tls)
    form = {"username": user_id, "password": PASSWORD}
    form["csrfmiddlewaretoken"] = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    tls["Cookie"] = f"csrftoken={page.cookies['csrftoken']}"
    answer = public.http.post(staff.LOGIN, data=form, headers=tls)

    assert answer.headers["Location"] == "/admin/"
    for cookie in ("sessionid", "csrftoken"):
        [field] = [each for each in answer.headers.get_list("Set-Cookie") if each.startswith(f"{cookie}=")]
        assert {"HttpOnly", "Secure", "SameSite=Lax"} <= {*field.split("; ")}


@pytest.mark.parametrize("path", ["/", "/checkout/success", "/checkout/cancel", "/sandbox/"])
def test_a_page_runs_only_its_own_files(server, path):
    policy = _policy(server.http.get(path))

    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"


@pytest.mark.parametrize("path", ["/", "/nothing", "/sandbox/pay/cs_test_1"])
def test_in_production_no_page_outside_the_admin_runs_inline_script(public, path):
    answer = public.http.get(path, headers={"Host": "localhost", "Accept": "text/html"})

    assert _policy(answer)["script-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_the_admin_alone_compiles_expressions_and_still_runs_no_inline_script(server):
    policy = _policy(server.http.get("/admin/login/"))

    assert policy["script-src"] == "'self' 'unsafe-eval'"


def test_a_request_for_a_wrong_host_and_one_that_cannot_be_parsed_are_answered_alike(server):
    wrong = server.http.get("/", headers={"Host": "elsewhere.example"})
    with raw_connection(server) as sock:
        answers = Answers(sock)
        sock.sendall(b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n")
        next(answers)

    for fields in (wrong.headers, answers.fields):
        assert fields["content-security-policy"] == NOTHING
        assert fields["x-content-type-options"] == "nosniff"


def test_tls_is_asked_for_where_the_public_address_has_it(public, server):
    for path in ("/", "/static/site.css", "/api/payments"):
        assert public.http.get(path).headers["strict-transport-security"] == "max-age=31536000"
        assert "strict-transport-security" not in server.http.get(path).headers


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "https://app.example",
        "HTTPS://APP.EXAMPLE",
        "https://riders.example:8443",
        "https://a.b.riders.example:8443",
        "capacitor://localhost",
        "https://pay.example",
    ],
)
def test_a_page_of_an_allowed_origin_and_a_client_without_one_connect(public, origin):
    assert _handshake(public, *([origin] if origin else []))[0] == 101


@pytest.mark.parametrize(
    "origins",
    [
        ["https://evil.example"],
        ["http://app.example"],
        ["https://app.example:444"],
        ["https://app.example.evil.example"],
        ["https://xapp.example"],
        ["https://riders.example"],
        ["https://xriders.example:8443"],
        ["https://.riders.example:8443"],
        ["https://evil.example#.riders.example:8443"],
        ["https://evil.example/.riders.example:8443"],
        ["https://evil.example\\.riders.example:8443"],
        ["https://\u212a.riders.example:8443"],
        ["https://a.riders.example.:8443"],
        ["https://a.riders.example:8443:8443"],
        ["null"],
        [""],
    ],
)
def test_a_page_of_another_origin_is_refused_and_the_setting_named(public, origins):
    status, text = _handshake(public, *origins)

    assert status == 403
    assert "ALLOWED_ORIGINS" in text


def test_refusals_of_a_page_are_logged_once_a_minute(public):
    for _ in range(3):
        _handshake(public, "https://evil.example")

    eventually(lambda: "was refused" in public.log)
    assert public.log.count("was refused") == 1
    assert "ERROR" not in public.log


def test_without_the_setting_every_origin_connects(server):
    assert _handshake(server, "https://evil.example")[0] == 101


if STACK == "services":

    def test_a_production_warns_where_the_log_of_postgresql_gets_rows(public):
        assert "Let it start with log_min_error_statement=panic" in public.log


@pytest.mark.parametrize("field", ["successUrl", "cancelUrl"])
def test_customers_are_led_to_named_hosts_only(public, user_id, field):
    order = backend.order(user_id)
    refused = public.http.post("/api/payments", json=order | {field: "https://evil.example/"})
    taken = public.http.post("/api/payments", json=order | {field: "https://shop.example/paid?x=1"})

    assert refused.status_code == 422
    assert "RETURN_HOSTS" in refused.text
    assert taken.status_code == 201


def _policy(answer):
    directives = answer.headers["content-security-policy"].split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


def _handshake(server, *origins):
    """Return the status, and the text of a refusal."""
    fields = [
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        *(b"Origin: " + origin.encode() for origin in origins),
    ]
    with raw_connection(server) as sock:
        sock.sendall(head(b"GET /basic/ws", *fields))
        answer = sock.recv(65536)
        while not answer.startswith(b"HTTP/1.1 101") and b"\n" not in answer.partition(b"\r\n\r\n")[2]:
            answer += sock.recv(65536)
    return int(answer.split()[1]), answer.decode()

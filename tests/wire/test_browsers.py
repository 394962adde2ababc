"""What a page of another site, and a request that is dressed up, can do with a browser that is logged in: nothing."""

import httpx
import pytest

from tests.fuzz.target import KEY, attacked
from tests.support import backend, staff

PASSWORD = "a-password-of-enough-length"


@pytest.fixture(scope="module")
def production(tmp_path_factory):
    """A production server, with a superuser."""
    with attacked(tmp_path_factory.mktemp("production")) as target:
        staff.make_user(target.server, "clerk", PASSWORD)
        yield target


@pytest.fixture
def browser(production):
    """A browser in which the superuser is logged in."""
    with staff.browser(production.server) as browser:
        assert staff.log_in(browser, "clerk", PASSWORD).url == f"{production.server.url}/admin/"
        yield browser


PAGES = ["/", "/admin/", "/admin/payments/payment/", "/checkout/success", "/checkout/cancel", "/nowhere"]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_can_be_framed(browser, path):
    assert browser.get(path).headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/admin/logout/", {}),
        ("/admin/payments/webhookevent/", {"action": "apply_again", "_selected_action": "1"}),
        ("/admin/auth/user/add/", {"username": "mine", "password1": PASSWORD, "password2": PASSWORD}),
    ],
)
def test_a_form_without_its_token_does_nothing(production, browser, path, form):
    before = production.rows()

    assert browser.post(path, data=form, headers={"Origin": "https://evil.example"}).status_code == 403

    assert production.rows() == before
    assert browser.get("/admin/").url == f"{production.server.url}/admin/", "the login lives on"


DRESSES = [
    {"X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "DELETE", "X-Method-Override": "DELETE"},
    {"X-Original-URL": "/admin/", "X-Rewrite-URL": "/admin/"},
    {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "X-Forwarded-Prefix": "/evil"},
    {"X-Forwarded-User": "clerk", "Remote-User": "clerk"},
]


@pytest.mark.parametrize("dress", DRESSES, ids=lambda dress: next(iter(dress)))
def test_fields_that_name_another_method_or_address_change_nothing(production, dress):
    def policies(headers):
        api = production.http.get("/api/payments", params={"userId": "nobody"}, headers=KEY | headers)
        admin = production.http.get("/admin/", headers=headers)
        return api.status_code, api.content, admin.status_code, admin.headers["Location"]

    assert (
        policies(dress)
        == policies({})
        == (200, b'{"payments": [], "nextCursor": null}', 302, "/admin/login/?next=/admin/")
    )


FAULTS = [
    ("GET", "/nowhere", {}),
    ("GET", "/api/nowhere", {}),
    ("GET", "/api/payments?cursor=AAAA", {"headers": KEY}),
    ("POST", "/api/payments", {"headers": KEY, "content": b"{"}),
    ("POST", "/api/payments", {"headers": KEY, "json": backend.order("u", amount="x")}),
    ("POST", "/webhooks/stripe/", {"content": b"{}"}),
    ("DELETE", "/checkout/success", {}),
    ("POST", "/admin/login/", {"data": {"username": "x"}}),
    ("GET", "/static/../payments_project/settings.py", {}),
    ("GET", "/static/%2e%2e/db.sqlite3", {}),
    ("GET", "/.env", {}),
    ("GET", "/.git/config", {}),
]


@pytest.mark.parametrize(("method", "path", "sent"), FAULTS)
def test_an_error_says_nothing_of_the_code(production, method, path, sent):
    answer = httpx.request(method, production.server.url + path, trust_env=False, **sent)

    assert 400 <= answer.status_code < 500
    for word in ("Traceback", "site-packages", "settings.", "SECRET", "DATABASE_URL", ".py", "django"):
        assert word not in answer.text
    assert "uvicorn" not in answer.headers.get("Server", "")

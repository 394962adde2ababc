"""What a browser, a probe and a monitoring system find over HTTP."""

import re

import pytest

from tests.support import staff

KEY = {"Authorization": "Bearer dev-key"}


def test_it_lives_and_it_is_ready(server):
    assert server.http.get("/healthz").json() == {"status": "ok"}
    assert server.http.get("/readyz").json() == {"status": "ok", "database": "ok"}


def test_metrics_are_for_callers_with_a_key(server):
    refused = server.http.get("/metrics")
    shown = server.http.get("/metrics", headers=KEY)

    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert shown.headers["Content-Type"].startswith("text/plain")
    for counter in ("notifications_connections", "payments_created_total", "payments_webhook_events_total"):
        assert f"# TYPE {counter}" in shown.text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/", "Payment"),
        ("/api/docs", "swagger"),
        ("/admin/login/", 'name="password"'),
        ("/sandbox/", "Stripe, offline"),
        ("/checkout/success", "<h1"),
        ("/checkout/cancel", "<h1"),
    ],
)
def test_a_page_and_all_that_it_loads_is_there(server, path, text):
    page = server.http.get(path)

    assert page.status_code == 200
    assert text in page.text
    loaded = re.findall(r'(?:src|href)="(/[^"#?]+\.(?:js|css|svg|png|ico|woff2))"', page.text)
    assert [url for url in loaded if server.http.get(url).status_code != 200] == []
    assert re.findall(r'(?:src|<link[^>]+href)="(https?://[^"]+)"', page.text) == [], (
        "nothing comes from elsewhere"
    )


def test_the_demo_loads_its_style_and_its_client_from_here(server):
    page = server.http.get("/").text

    assert re.search(r'href="/static/[^"]+\.css"', page)
    assert re.search(r'src="/static/[^"]+\.js"', page)


def test_the_login_that_the_first_start_shows_opens_the_admin(server):
    name, password = re.search(r"(\w+) / ([\w-]{16}), shown this once", server.out).groups()

    with staff.browser(server) as browser:
        inside = staff.log_in(browser, name, password)

        assert inside.url == f"{server.url}/admin/"
        for model in ("payments/payment", "payments/webhookevent", "notifications/feed"):
            assert browser.get(f"/admin/{model}/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/nothing", "/static/nothing.css", "/sandbox/pay/cs_test_1", "/webhooks/nothing"]
)
def test_what_is_not_there_is_not_found(server, path):
    assert server.http.get(path).status_code == 404


def test_an_unknown_address_of_the_api_is_refused_in_json(server):
    answer = server.http.get("/api/nothing", headers=KEY)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_the_openapi_description_is_served(server):
    description = server.http.get("/api/openapi.json").json()

    assert "/api/payments" in description["paths"]

"""Every page works within its Content-Security-Policy: the console of the browser reports what a policy refused."""

import subprocess
import sys

import pytest

from tests.browser import backend
from tests.browser.conftest import ROOT


@pytest.fixture
def watched(context):
    """A page, and what its browser's console said of policies."""
    page = context.new_page()
    said = []
    context.on("console", lambda message: said.append(message.text))
    context.on("weberror", lambda error: said.append(str(error.error)))
    yield page
    page.wait_for_load_state("networkidle")
    assert [text for text in said if "Policy" in text or "Refused" in text or "EvalError" in text] == []


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/docs",
        "/sandbox/",
        "/checkout/success",
        "/checkout/cancel",
        "/admin/login/",
        "/nothing",
        "/static/icon.svg",
    ],
)
def test_a_page_of_strangers_keeps_to_its_policy(watched, server, path):
    watched.goto(f"{server}{path}")


def test_the_pay_page_leads_to_the_shop_of_another_origin(watched, server):
    made = backend.create_payment(server, user_id="policy-1", successUrl="https://shop.example/paid")
    watched.route("https://shop.example/**", lambda route: route.fulfill(body="Welcome back"))
    watched.goto(made["paymentUrl"])

    watched.get_by_role("button", name="Pay", exact=False).first.click()

    watched.get_by_text("Welcome back").wait_for()


@pytest.fixture(scope="module")
def password(server, server_environment):
    """The password of a superuser `inspector`."""
    password = "a-password-of-enough-length"
    command = [sys.executable, "manage.py", "createsuperuser", "--no-input", "--username", "inspector"]
    secret = {"DJANGO_SUPERUSER_PASSWORD": password, "DJANGO_SUPERUSER_EMAIL": ""}
    subprocess.run(command, cwd=ROOT, env=server_environment | secret, check=True, capture_output=True)
    return password


def test_the_admin_keeps_to_its_policy(watched, server, password):
    made = backend.create_payment(server, user_id="policy-2")
    watched.goto(f"{server}/admin/")
    watched.get_by_label("Username").fill("inspector")
    watched.get_by_label("Password", exact=False).first.fill(password)
    watched.get_by_role("button", name="Log in").click()
    watched.wait_for_url("**/admin/")

    for page in (
        "",
        "payments/payment/",
        "payments/payment/?q=ride",
        f"payments/payment/{made['id']}/change/",
        "payments/webhookevent/",
        "notifications/feed/",
        "notifications/notification/",
        "access/apikey/",
        "access/apikey/add/",
        "auth/user/",
        "auth/user/add/",
        "auth/group/add/",
    ):
        answer = watched.goto(f"{server}/admin/{page}")
        assert answer.status == 200, page
        assert watched.evaluate("typeof Alpine") == "object", page

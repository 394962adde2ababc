"""Staff log in, with the code of an authenticator app."""

import base64
import re
import subprocess
import sys
import urllib.parse

import pytest
from django_otp.oath import totp

from tests.browser.conftest import ROOT

NAME, PASSWORD = "clerk", "a-password-of-enough-length"


@pytest.fixture(scope="module")
def manage(server_environment):
    def run(*arguments):
        command = [sys.executable, "manage.py", *arguments]
        ran = subprocess.run(
            command, cwd=ROOT, env=server_environment, capture_output=True, text=True, check=True
        )
        return ran.stdout

    return run


@pytest.fixture(scope="module")
def app(server, manage):
    """Make a member of staff with an app; return what makes the app's code of now."""
    code = f"from django.contrib.auth.models import User; User.objects.create_superuser({NAME!r}, '', {PASSWORD!r})"
    manage("shell", "-c", code)
    address = re.search(r"^otpauth://\S+$", manage("second_factor", NAME), re.MULTILINE)[0]
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)
    return lambda: f"{totp(base64.b32decode(query['secret'][0])):06}"


def log_in(page, server, code):
    page.goto(f"{server}/admin/")
    page.get_by_label("Username").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Log in").click()


def test_a_member_with_an_app_logs_in_with_its_code_alone(page, server, app):
    log_in(page, server, "")
    page.get_by_text("a new code of the authenticator app").wait_for()

    log_in(page, server, app())
    page.get_by_text("Payment notification service").first.wait_for()
    assert page.url == f"{server}/admin/"
    cookie = next(each for each in page.context.cookies() if each["name"] == "sessionid")
    assert cookie["expires"] == -1


def test_a_browser_that_tries_too_often_reads_how_long_to_wait(page, server):
    page.set_extra_http_headers({"X-Forwarded-For": "198.51.100.7"})  # else other tests could not log in
    for _ in range(11):
        page.goto(f"{server}/admin/login/")
        page.get_by_label("Username").fill("nobody")
        page.get_by_label("Password").fill("a-guess")
        page.get_by_role("button", name="Log in").click()
        page.get_by_text(re.compile("a new code of the authenticator app|Too many logins")).first.wait_for()
        if page.get_by_role("heading", name="Too many logins").is_visible():
            break
    page.get_by_text(re.compile(r"Try again in \d+ seconds?\.")).wait_for()

"""Members of staff, who log in with a browser."""

import re

import httpx

LOGIN = "/admin/login/?next=/admin/"


def browser(server, **headers):
    return httpx.Client(
        base_url=server.url, timeout=20, trust_env=False, follow_redirects=True, headers=headers
    )


def log_in(browser, name, password, code=""):
    """Fill in the form; return the page after it."""
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(LOGIN).text)[1]
    form = {"csrfmiddlewaretoken": token, "username": name, "password": password, "code": code}
    return browser.post(LOGIN, data=form, headers={"Referer": f"{browser.base_url}{LOGIN}"})


def make_user(server, name, password):
    """Make a superuser with a command, as an operator does."""
    secret = {"DJANGO_SUPERUSER_PASSWORD": password, "DJANGO_SUPERUSER_EMAIL": ""}
    made = server.run("createsuperuser", "--no-input", "--username", name, **secret)
    assert made.returncode == 0, made.stderr

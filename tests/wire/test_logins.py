"""A server on which Django's own login proves who somebody is."""

import re

import httpx
import pytest
from django.contrib.auth.hashers import make_password
from websockets.exceptions import InvalidStatus

from tests.support import backend
from tests.support.frames import link, registered

PASSWORD = "a password of the rider's"
INSERT = """
    INSERT INTO auth_user (username, password, is_active, is_staff, is_superuser, first_name, last_name, email, date_joined)
    VALUES ('rider@example.com', %s, %s, %s, %s, '', '', '', '2026-01-01')
"""


@pytest.fixture(scope="module")
def server(serve):
    server = serve(NOTIFICATIONS_AUTH="session")
    server.database.execute(INSERT, make_password(PASSWORD), True, True, False)
    return server


@pytest.fixture
def browser(server):
    """A browser in which the user is logged in."""
    with httpx.Client(base_url=server.url, timeout=20, trust_env=False) as browser:
        page = browser.get("/admin/login/").text
        form = {
            "csrfmiddlewaretoken": re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page)[1],
            "username": "rider@example.com",
            "password": PASSWORD,
        }
        assert browser.post("/admin/login/", data=form).status_code == 302
        yield browser


def test_a_page_of_the_service_connects_as_the_user_who_is_logged_in(server, connect, browser):
    cookie = f"sessionid={browser.cookies['sessionid']}"
    client = connect(server, page=server.url, cookie=cookie)

    assert client.register("rider@example.com") == registered("rider@example.com")
    payment = backend.ask(server, "rider@example.com")
    assert client.receive() == link(payment)
    for page in (None, "https://evil.example", "null"):
        with pytest.raises(InvalidStatus, match="403"):
            connect(server, page=page, cookie=cookie)


def test_after_the_logout_the_cookie_proves_nothing(server, connect, browser):
    cookie = f"sessionid={browser.cookies['sessionid']}"
    page = browser.get("/admin/").text
    token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    assert browser.post("/admin/logout/", data={"csrfmiddlewaretoken": token}).is_success

    client = connect(server, page=server.url, cookie=cookie)
    answer = client.register("rider@example.com")
    assert answer["message"] == "A login is needed. Log in, then connect again."
    assert client.close_code() == 4401

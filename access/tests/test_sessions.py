import time

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection

from access.staff.sessions import LONGEST_SECONDS, is_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client):
    client.force_login(User.objects.create(username="clerk", is_staff=True))
    return client


def left():
    """Seconds until the only session ends."""
    return Session.objects.get().expire_date.timestamp() - time.time()


def later(browser, seconds):
    """Let the session be that of a login and a use that were so long ago."""
    session = browser.session
    session["began"] -= seconds
    session["used"] -= seconds
    session.save()


def is_in(browser):
    return browser.get("/admin/").status_code == 200


def test_a_session_ends_an_hour_after_its_last_use(browser):
    assert 3590 < left() <= 3600
    Session.objects.update(expire_date=Session.objects.get().expire_date.replace(year=2020))
    assert not is_in(browser)


def test_a_use_prolongs_a_session(browser):
    later(browser, 1800)
    Session.objects.update(expire_date=Session.objects.get().expire_date.replace(year=2100))
    assert is_in(browser)
    assert 3590 < left() <= 3600


def test_a_session_that_is_used_within_a_minute_is_not_written_again(browser, django_assert_num_queries):
    before = Session.objects.get().session_data
    assert is_in(browser)
    assert Session.objects.get().session_data == before


def test_a_session_ends_after_its_longest_life_however_it_is_used(browser):
    later(browser, LONGEST_SECONDS - 60)
    assert is_in(browser)
    assert 50 < left() <= 60

    later(browser, 61)
    assert not is_in(browser)


def test_the_cookie_ends_with_the_browser(browser):
    later(browser, 600)
    cookie = browser.get("/admin/").cookies["sessionid"]
    assert (cookie["max-age"], cookie["expires"]) == ("", "")
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_a_visitor_gets_no_session_and_an_unknown_one_is_no_error(client):
    client.cookies["sessionid"] = "unknown"
    assert client.get("/").status_code == 200
    assert client.get("/admin/login/").status_code == 200
    assert Session.objects.count() == 0


def test_a_session_that_cannot_be_written_has_not_ended(browser):
    def refuse(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and "django_session" in sql:
            raise OperationalError("The database only reads.")
        return execute(sql, params, many, context)

    later(browser, 600)
    browser.raise_request_exception = False
    with connection.execute_wrapper(refuse):
        assert browser.get("/admin/").status_code == 503
    assert is_in(browser)


@pytest.mark.parametrize(
    "cookie", ['"abcdefgh\\000ijklmnop"', '"\\377\\376abcdefgh"', "short", "A" * 32, "a" * 4000]
)
def test_a_cookie_that_no_login_made_is_no_session_and_asks_no_database(
    client, cookie, django_assert_num_queries
):
    with django_assert_num_queries(0):
        answer = client.get("/admin/", headers={"Cookie": f"sessionid={cookie}"})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/login/?next=/admin/")


@pytest.mark.parametrize(
    ("text", "may_be"),
    [("a1" * 16, True), ("", False), ("a\0" * 16, False), ("x" * 41, False), ("Ü" * 16, False)],
)
def test_only_texts_that_can_be_keys_are_looked_for(text, may_be):
    assert is_key(text) is may_be

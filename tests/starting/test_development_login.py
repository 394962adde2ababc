"""The login that the first start makes: its password is drawn, shown once, and no known one is served with."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from tests.support import staff
from tests.support.database import Database, empty_database
from tests.support.production import PRODUCTION
from tests.support.server import Server, run

SHOWN = re.compile(r"admin / ([\w-]{16}), shown this once")
KNOWN = (
    "The user admin has the password of development, which everybody knows: "
    "run `manage.py changepassword admin` first.\n"
)
DAPHNE = ("-m", "daphne", "-v", "0", "payments_project.asgi:application", "-p")
UVICORN = ("-m", "uvicorn", "payments_project.asgi:application", "--port")


@pytest.fixture
def server_on(tmp_path):
    """Return a function that makes a server, to be started yet, on a copy of a database, or on an empty one."""
    with ExitStack() as stack:

        def make(template=None):
            database = stack.enter_context(empty_database(tmp_path, template=template))
            return stack.enter_context(closing(Server(folder=tmp_path, database=database)))

        yield make


def logs_in(server, name, password):
    with staff.browser(server) as browser:
        return staff.log_in(browser, name, password).url == f"{server.url}/admin/"


def names(server):
    return [name for (name,) in server.database.execute("SELECT username FROM auth_user")]


def test_the_first_start_draws_a_password_and_shows_it_once(server_on):
    server = server_on()
    server.start()
    password = SHOWN.search(server.out)[1]
    server.stop()
    server.start()

    assert len(SHOWN.findall(server.out)) == 1
    assert not logs_in(server, "admin", "admin")
    assert logs_in(server, "admin", password)


def test_where_there_are_users_no_login_is_made(server_on, django_db_setup):
    server = server_on(django_db_setup)
    staff.make_user(server, "clerk", "a-password-of-enough-length")
    server.start()

    assert SHOWN.search(server.out) is None
    assert names(server) == ["clerk"]


def test_the_known_password_of_earlier_versions_is_refused_in_production_and_replaced_with_debug(
    server_on, django_db_setup
):
    server = server_on(django_db_setup)
    staff.make_user(server, "admin", "admin")
    settings = PRODUCTION | {"DATABASE_URL": server.database.url, "PORT": str(server.port)}

    with ThreadPoolExecutor(2) as pool:  # they take their time
        by_serve = pool.submit(run, "manage.py", "serve", **settings)
        by_others = [
            pool.submit(run, *command, str(server.port), **settings) for command in (DAPHNE, UVICORN)
        ]

    assert (by_serve.result().returncode, by_serve.result().stderr) == (1, f"CommandError: {KNOWN}")
    for attempt in by_others:
        assert attempt.result().returncode == 1
        assert attempt.result().stderr.endswith(f"ImproperlyConfigured: {KNOWN}")

    server.start()
    assert not logs_in(server, "admin", "admin")
    assert logs_in(server, "admin", SHOWN.search(server.out)[1])
    assert names(server) == ["admin"]


def test_the_known_password_that_comes_later_opens_no_login_in_production(server_on, django_db_setup):
    """As with a restored database, or with a login that has another name by now."""
    server = server_on(django_db_setup)
    server.start(**PRODUCTION | {"LIMITS": "logins-per-address=1000"})
    for name in ("admin", "root"):
        staff.make_user(server, name, "admin")
    staff.make_user(server, "clerk", "a-password-of-enough-length")

    assert [logs_in(server, name, "admin") for name in ("admin", "root")] == [False, False]
    assert logs_in(server, "clerk", "a-password-of-enough-length")


@pytest.mark.parametrize(
    ("command", "url"),
    [(DAPHNE, "postgresql://user@127.0.0.1:1/payments"), (UVICORN, "sqlite:////nowhere/db.sqlite3")],
)
def test_a_database_that_is_away_at_the_start_of_another_server_does_not_stop_it(tmp_path, command, url):
    server = Server(folder=tmp_path, database=Database(url), **PRODUCTION)
    server.start(*command, str(server.port))

    assert "Nobody could look whether the user admin has the password of development" in server.log
    server.close()

"""The login that the first start makes: its password is drawn, shown once, and no known one is served with."""

import re
from contextlib import ExitStack, closing

import pytest

from tests.support import staff
from tests.support.database import empty_database
from tests.support.production import PRODUCTION
from tests.support.server import Server, run

SHOWN = re.compile(r"admin / ([\w-]{16}), shown this once")


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

    refused = run("manage.py", "serve", **settings)

    assert (refused.returncode, refused.stderr) == (
        1,
        (
            "CommandError: The user admin has the password of development, which everybody knows: "
            "run `manage.py changepassword admin` first.\n"
        ),
    )

    server.start()
    assert not logs_in(server, "admin", "admin")
    assert logs_in(server, "admin", SHOWN.search(server.out)[1])
    assert names(server) == ["admin"]

"""What cannot work is refused at start: a sentence that says what to change, and no traceback."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from payments_project.configuration.databases import database
from payments_project.serving.listening import listen
from tests.support.database import empty_database
from tests.support.ports import free_port
from tests.support.production import PRODUCTION
from tests.support.server import run

NO_DATABASE = (
    "DATABASE_URL is no address of a database. Set it to sqlite:///FILE or postgresql://USER@HOST/NAME. "
    "In a password, write each of / ? # [ ] @ : % as % with two digits, such as %23 for #."
)
REFUSALS = {
    "a port that is no number": (
        {"PORT": "abc"},
        "These settings are wrong. PORT: Input should be a valid integer, unable to parse string as an integer",
    ),
    "an address of another machine": (
        {"HOST": "192.0.2.1", "EXPOSE_DEVELOPMENT": "1"},
        (
            "CommandError: HOST is 192.0.2.1, which is no address of this machine. "
            "Set HOST to localhost, to an address of this machine, or to 0.0.0.0 for all of them."
        ),
    ),
    "no database's address": (
        {"DATABASE_URL": "nonsense"},
        NO_DATABASE,
    ),
    "a PostgreSQL that is not there": (
        {"DATABASE_URL": "postgresql://user:a-password@127.0.0.1:1/payments"},
        (
            'CommandError: Cannot use the database: connection failed: connection to server at "127.0.0.1", port 1 '
            "failed: Connection refused. Check DATABASE_URL."
        ),
    ),
    "a folder that is not there": (
        {"DATABASE_URL": "sqlite:////nowhere/db.sqlite3"},
        "CommandError: Cannot use the database: unable to open database file. Check DATABASE_URL.",
    ),
    "development's keys in production": (
        {"DEBUG": "0", "SECRET_KEY": "", "API_KEYS": "dev-key"},
        (
            "CommandError: SECRET_KEY is the development key, short, or easily guessed. "
            "Set SECRET_KEY to 50 or more random characters.\n"
            "API_KEYS holds the development key, or one that is short or easily guessed. "
            "Set API_KEYS to a key of 20 or more random characters, or unset it and make keys with "
            "`manage.py api_key create`.\n"
            "NOTIFICATIONS_AUTH is token, and NOTIFICATIONS_TOKEN_SECRET is missing, short, or easily guessed. "
            "Set NOTIFICATIONS_TOKEN_SECRET to 32 or more random characters.\n"
            "STRIPE_SECRET_KEY is empty, so that nothing can be paid. Set STRIPE_SECRET_KEY and "
            "STRIPE_WEBHOOK_SECRETS, or STRIPE_SANDBOX=1 to try without Stripe."
        ),
    ),
    "a database that is behind": (
        PRODUCTION,
        "CommandError: The database is behind this version: run `manage.py migrate` first.",
    ),
}


@pytest.fixture(scope="module")
def attempts(tmp_path_factory):
    """What came of each attempt to start: they take their time, so two are made at once."""
    with empty_database(tmp_path_factory.mktemp("database")) as database, ThreadPoolExecutor(2) as pool:

        def defaults():
            return {"DATABASE_URL": database.url, "PORT": str(free_port())}

        running = {
            name: pool.submit(run, "manage.py", "serve", **defaults() | changes)
            for name, (changes, _) in REFUSALS.items()
        }
        yield {name: attempt.result() for name, attempt in running.items()}


@pytest.mark.parametrize("name", REFUSALS)
def test_it_is_refused_in_a_sentence(attempts, name):
    attempt = attempts[name]

    assert attempt.stderr == REFUSALS[name][1] + "\n"
    assert attempt.stdout == ""
    assert attempt.returncode == 1


@pytest.mark.parametrize("host", ["fe80::1", "192.0.2.1", "224.0.0.1", "255.255.255.255"])
def test_an_address_that_this_machine_cannot_be_reached_at_is_refused(host):
    with pytest.raises(CommandError) as refused:
        listen(host=host, port=free_port())
    assert str(refused.value) == (
        f"HOST is {host}, which is no address of this machine. "
        "Set HOST to localhost, to an address of this machine, or to 0.0.0.0 for all of them."
    )


@pytest.mark.parametrize("url", ["sqlite:///", "nonsense", "mysql://localhost/payments"])
def test_what_is_no_address_of_a_database_is_refused(url):
    with pytest.raises(ImproperlyConfigured) as refused:
        database(url)
    assert str(refused.value) == NO_DATABASE


def test_a_port_that_is_taken_is_refused_in_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        attempt = run("manage.py", "serve", PORT=str(port), DATABASE_URL="sqlite:////nowhere/db.sqlite3")

    assert attempt.stderr.startswith(
        f"CommandError: Cannot listen on localhost:{port}: Address already in use"
    )
    assert attempt.stderr.endswith("Set PORT to a free port.\n")
    assert attempt.stderr.count("\n") == 1
    assert attempt.returncode == 1


def test_a_secret_file_that_is_not_there_is_refused_in_one_line(tmp_path):
    refused = run("manage.py", "check", STRIPE_SECRET_KEY_FILE=str(tmp_path / "nowhere"))

    assert refused.returncode == 1
    assert (
        refused.stderr
        == "STRIPE_SECRET_KEY_FILE names a file that cannot be read (No such file or directory).\n"
    )

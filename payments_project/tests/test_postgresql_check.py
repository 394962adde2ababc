"""A database on an open network is reached by TLS alone, wherever libpq takes its options from."""

import os

import pytest

from payments_project.checks import postgresql
from payments_project.configuration.databases import database
from tests.support.production import PRODUCTION
from tests.support.server import run

OPEN = "postgresql://payments:pass@db.example.com"
BOTH = ["93.184.215.14", "db.example.com"]


@pytest.fixture
def hosts(monkeypatch, tmp_path):
    """Return the hosts that an address is refused for, as the error names them."""
    services = tmp_path / "services"
    services.write_text("[open]\nhost=db.example.com\n[closed]\nhost=db.example.com\nsslmode=verify-full\n")

    def ask(url, **variables):
        for name in [name for name in os.environ if name.startswith("PG")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PGSERVICEFILE", str(services))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        before = dict(os.environ)
        errors = list(postgresql.refused(database(url)))
        assert dict(os.environ) == before
        assert [error.id for error in errors] == ["service.E027"] * len(errors)
        return errors[0].msg.split(" leads to ")[1].split(" over ")[0].split(" and ") if errors else []

    return ask


@pytest.mark.parametrize("mode", ["", "?sslmode=disable", "?sslmode=allow", "?sslmode=prefer", "?sslmode="])
def test_an_open_network_without_tls_is_refused(hosts, mode):
    assert hosts(f"{OPEN}/payments{mode}") == ["db.example.com"]


@pytest.mark.parametrize(
    "query",
    ["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full", "sslrootcert=system"],
)
def test_an_open_network_with_tls_is_taken(hosts, query):
    assert hosts(f"{OPEN}/payments?{query}") == []


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///db.sqlite3",
        "postgresql://payments@localhost/payments",
        "postgresql://payments@127.0.0.1:5432/payments",
        "postgresql://payments@[::1]/payments",
        "postgresql://payments@10.0.0.7/payments",
        "postgresql://payments@[fd00::7]/payments",
        "postgresql://payments@postgresql:5432/payments",
        "postgresql://payments@100.64.0.7/payments",
        "postgresql://payments@db.payments.svc.cluster.local/payments",
        "postgresql://payments@Host.Docker.Internal./payments",
        "postgresql:///payments",
        "postgresql:///payments?host=/run/postgresql.d",
        "postgresql://payments@%2Frun%2Fpostgresql.d/payments",
        "postgresql:///payments?host=@abstract.socket",
        "postgresql:///payments?host=localhost,10.0.0.7",
    ],
)
def test_this_machine_and_a_private_network_need_no_tls(hosts, url):
    assert hosts(url) == []


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("postgresql://payments@93.184.215.14/payments", ["93.184.215.14"]),
        ("postgresql://payments@134744072/payments", ["134744072"]),
        ("postgresql://payments@internal.example.com/payments", ["internal.example.com"]),
        ("postgresql://payments@[2606:2800::1]/payments", ["2606:2800::1"]),
        ("postgresql:///payments?host=db.example.com", ["db.example.com"]),
        ("postgresql://localhost/payments?host=db.example.com", []),
        ("postgresql://db.example.com/payments?host=localhost", ["db.example.com"]),
        ("postgresql://a.example,10.0.0.7,b.example/payments", ["a.example", "b.example"]),
        ("postgresql://localhost/payments?hostaddr=93.184.215.14", ["93.184.215.14"]),
        ("postgresql://db.example.com/payments?hostaddr=10.0.0.7", []),
        ("postgresql:///payments?host=10.0.0.7,db.example.com&hostaddr=93.184.215.14,", BOTH),
    ],
)
def test_the_host_is_the_one_that_libpq_connects_to(hosts, url, refused):
    assert hosts(url) == refused


@pytest.mark.parametrize(
    ("url", "variables", "refused"),
    [
        ("postgresql:///payments", {"PGHOST": "db.example.com"}, ["db.example.com"]),
        ("postgresql:///payments", {"PGHOSTADDR": "93.184.215.14"}, ["93.184.215.14"]),
        (f"{OPEN}/payments", {"PGSSLMODE": "require"}, []),
        (f"{OPEN}/payments?sslmode=prefer", {"PGSSLMODE": "require"}, ["db.example.com"]),
        (f"{OPEN}/payments", {"PGSSLROOTCERT": "system"}, []),
        ("postgresql:///payments?service=open", {}, ["db.example.com"]),
        ("postgresql:///payments?service=closed", {}, []),
        ("postgresql:///payments?service=closed", {"PGSERVICE": "open"}, []),
        ("postgresql:///payments", {"PGSERVICE": "open"}, ["db.example.com"]),
        ("postgresql:///payments?service=open", {"PGSSLMODE": "verify-full"}, []),
    ],
)
def test_options_from_variables_and_services_count(hosts, url, variables, refused):
    assert hosts(url, **variables) == refused


def test_a_production_without_it_is_refused_by_the_check_and_says_what_to_set():
    ran = run("manage.py", "check", **PRODUCTION | {"DATABASE_URL": f"{OPEN}/payments"})

    assert ran.returncode == 1
    assert "sslmode is prefer" in ran.stderr
    assert "Add ?sslmode=verify-full&sslrootcert=FILE to DATABASE_URL" in ran.stderr
    assert "pass@" not in ran.stderr

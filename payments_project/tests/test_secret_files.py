"""Secrets from files."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from payments_project.configuration.environment import Environment, read_environment
from payments_project.configuration.secret_files import SECRETS

VALUE = "postgresql://user:p4ssw0rd@host/name"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    monkeypatch.setenv("ENV_FILE", "")
    for name in Environment.model_fields:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write(content):
        path = tmp_path / "secret"
        path.write_bytes(content)
        return str(path)

    return write


@pytest.mark.parametrize("name", [name for name in SECRETS if not name.startswith("REDIS")])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_is_read_from_its_file_without_the_end_of_the_line(monkeypatch, file, name, end):
    monkeypatch.setenv(f"{name}_FILE", file(f"{VALUE}{end}".encode()))

    assert getattr(read_environment(), name) in (VALUE, [VALUE])


def test_lists_in_a_file_are_separated_by_commas(monkeypatch, file):
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRETS_FILE", file(b"whsec_old,whsec_new\n"))

    assert read_environment().STRIPE_WEBHOOK_SECRETS == ["whsec_old", "whsec_new"]


def test_what_a_file_says_is_checked_as_a_setting_is(monkeypatch, file):
    monkeypatch.setenv("REDIS_URL_FILE", file(b"http://user:p4ssw0rd@host"))

    with pytest.raises(ImproperlyConfigured, match="REDIS_URL") as refused:
        read_environment()
    assert "p4ssw0rd" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"  \n", "empty"),
        (b"first\nsecond\n", "more than one line"),
        (b"a\x00b", "more than one line"),
        (b"\xff\xfe", "UTF-8"),
        (b"x" * 70_000, "more than one line"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(monkeypatch, file, content, reason):
    monkeypatch.setenv("SECRET_KEY_FILE", file(content))

    with pytest.raises(ImproperlyConfigured, match=f"SECRET_KEY_FILE .*{reason}"):
        read_environment()


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_file_that_cannot_be_read_is_refused(monkeypatch, tmp_path, name):
    monkeypatch.setenv("API_KEYS_FILE", str(tmp_path / name))

    with pytest.raises(ImproperlyConfigured, match="API_KEYS_FILE names a file that cannot be read"):
        read_environment()


def test_a_secret_that_is_given_twice_is_refused(monkeypatch, file):
    monkeypatch.setenv("SECRET_KEY", "one")
    monkeypatch.setenv("SECRET_KEY_FILE", file(b"two"))

    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY and SECRET_KEY_FILE are both set"):
        read_environment()


def test_an_empty_name_of_a_file_counts_as_unset(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "one")
    monkeypatch.setenv("SECRET_KEY_FILE", "")

    assert read_environment().SECRET_KEY == "one"


@pytest.mark.parametrize("in_environment", ["SECRET_KEY", "SECRET_KEY_FILE"])
def test_the_environment_wins_over_the_file_of_settings(monkeypatch, file, tmp_path, in_environment):
    secret = file(b"from-the-secret-file")
    lines = {"SECRET_KEY": f"SECRET_KEY_FILE={secret}", "SECRET_KEY_FILE": "SECRET_KEY=from-dotenv"}
    (tmp_path / "env").write_text(lines[in_environment] + "\n")
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "env"))
    monkeypatch.setenv(in_environment, secret if in_environment.endswith("_FILE") else "from-the-environment")

    expected = {"SECRET_KEY": "from-the-environment", "SECRET_KEY_FILE": "from-the-secret-file"}
    secret = read_environment().SECRET_KEY
    assert secret == expected[in_environment]

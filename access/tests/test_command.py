from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from access.api_keys import key_text, keys
from access.api_keys.callers import caller_of
from access.api_keys.scopes import Scope
from access.models import ApiKey
from tests.support.server import run

pytestmark = pytest.mark.django_db


def api_key(*arguments):
    """Run the command; return what it writes to standard output and to standard error."""
    out, err = StringIO(), StringIO()
    call_command("api_key", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_key_is_printed_once_and_alone():
    out, err = api_key(
        "create", "ride backend", "--scope", "payments:write,payments:read", "--scope", "links:read"
    )

    assert key_text.parse(out.strip())
    assert caller_of(out.strip()).scopes == {Scope.PAYMENTS_WRITE, Scope.PAYMENTS_READ, Scope.LINKS_READ}
    assert "not shown again" in err
    assert "may payments:write, payments:read, links:read" in err
    secret = out.strip().rpartition("_")[2]
    assert secret not in err
    assert secret not in api_key("list")[0]


def test_the_list_shows_each_key_with_its_state():
    for name in ("active", "expired", "revoked", "replaced"):
        keys.create(name=f"is {name}", scopes=[Scope.METRICS_READ])
    ApiKey.objects.filter(name="is expired").update(expires_at=timezone.now())
    keys.revoke(keys.find("is revoked"))
    keys.rotate(keys.find("is replaced"))

    lines = api_key("list")[0].splitlines()
    for name in ("active", "expired", "revoked", "replaced"):
        assert any(line.count(name) == 2 and "metrics:read" in line for line in lines), lines
    assert any("API_KEYS[1]" in line and "all" in line for line in lines)
    assert "dev-key" not in str(lines)


def test_a_rotation_prints_the_new_key_and_until_when_the_old_one_works():
    old, _ = keys.create(name="backend", scopes=[Scope.PAYMENTS_READ])
    out, err = api_key("rotate", "backend", "--overlap", "2h")

    assert caller_of(out.strip()).name == "backend"
    old.refresh_from_db()
    assert f"replaces {old.label}, which works until {old.expires_at:%Y-%m-%d %H:%M} UTC" in err
    assert timedelta(minutes=119) < old.expires_at - timezone.now() < timedelta(minutes=121)


def test_a_key_with_an_end_is_rotated_with_an_end():
    keys.create(name="backend", scopes=[Scope.PAYMENTS_READ], expires_at=timezone.now() + timedelta(days=1))

    with pytest.raises(CommandError, match="--expires 90d, or never"):
        api_key("rotate", "backend")
    api_key("rotate", "backend", "--expires", "90d")
    left = keys.find("backend").expires_at - timezone.now()
    assert timedelta(days=89) < left < timedelta(days=91)


def test_a_key_ends_when_it_is_said_to():
    key, _ = keys.create(name="backend", scopes=[Scope.PAYMENTS_READ])

    assert "until 2999-01-31 12:00 UTC" in api_key("expire", "backend", "2999-01-31T12:00:00Z")[0]
    assert "without an end" in api_key("expire", key.label, "never")[0]


def test_a_name_is_revoked_with_the_keys_that_it_replaced_and_an_id_alone():
    old, _ = keys.create(name="backend", scopes=[Scope.PAYMENTS_READ])
    new, _ = keys.rotate(old)

    assert api_key("revoke", old.label)[0].splitlines() == [f"{old} is revoked: it is refused from now on."]
    newer, _ = keys.rotate(new)
    said = api_key("revoke", "backend")[0]
    assert said.count("is revoked") == 2
    assert new.label in said
    assert newer.label in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create", "backend"], "--scope"),
        (["create", "backend", "--scope", "everything"], "is no scope: send any of payments:write"),
        (["create", "API_KEYS[1]", "--scope", "links:read"], "Choose a name"),
        (["create", "backend", "--scope", "links:read", "--expires", "soon"], "90d"),
        (["create", "backend", "--scope", "links:read", "--expires", "2020-01-31"], "in the future"),
        (["create", "taken", "--scope", "links:read"], "choose another name"),
        (["rotate", "nobody"], "There is no key 'nobody'"),
        (["rotate", "taken", "--overlap", "long"], "30m, 12h or 90d"),
        (["rotate", "taken", "--overlap", "91d"], "0 to 90 days"),
        (["expire", "taken", "yesterday"], "how far off it is"),
        (["revoke", "pns_0123456789abcdef"], "`manage.py api_key list` shows"),
        (["remove", "taken"], "invalid choice"),
        ([], "ACTION"),
    ],
)
def test_what_cannot_be_done_says_what_to_give_instead(arguments, sentence):
    keys.create(name="taken", scopes=[Scope.LINKS_READ])

    with pytest.raises(CommandError) as refused:
        api_key(*arguments)
    assert sentence in str(refused.value)
    assert ApiKey.objects.count() == 1


def test_the_exit_code_says_what_went_wrong(tmp_path):
    away = f"sqlite:///{tmp_path}/empty.sqlite3"
    assert run("manage.py", "api_key", "list", DATABASE_URL=away).returncode == 1
    assert run("manage.py", "api_key", "create", "backend", DATABASE_URL=away).returncode == 2

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.api_keys import callers, key_text, keys, scopes
from access.api_keys.callers import Caller, bearer, caller_of
from access.api_keys.scopes import Scope
from access.models import ApiKey
from tests.support.plans import on_postgresql, plan_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def made():
    return keys.create(name="backend", scopes=[Scope.PAYMENTS_READ, Scope.LINKS_READ])


def queries(token):
    with CaptureQueriesContext(connection) as captured:
        caller_of(token)
    return [query["sql"] for query in captured if query["sql"].strip().startswith(("SELECT", "UPDATE"))]


def test_a_caller_has_the_name_and_the_scopes_of_its_key(made):
    _, text = made
    expected = Caller(name="backend", scopes=frozenset({Scope.PAYMENTS_READ, Scope.LINKS_READ}))
    assert caller_of(str(text)) == expected


def test_a_scope_of_another_version_gives_no_right(made):
    _, text = made
    ApiKey.objects.update(scopes="payments:read everything:write")
    assert caller_of(str(text)).scopes == {Scope.PAYMENTS_READ}


def test_a_key_of_the_setting_has_every_scope_and_asks_no_database(settings):
    settings.API_KEYS = ["first-key", "second-key"]

    assert caller_of("second-key") == Caller(name="API_KEYS[2]", scopes=scopes.ALL)
    assert queries("second-key") == []
    assert caller_of("second-keY") is None


@pytest.mark.parametrize("header", ["", "Bearer", "Basic x", "x", "x Bearer"])
def test_a_header_without_a_bearer_token_has_none(header):
    assert bearer(header) == ""
    assert caller_of(bearer(header)) is None


def test_strangers_cannot_tell_unknown_wrong_expired_and_revoked_keys_apart(made, monkeypatch):
    key, text = made
    other = key_text.make()
    compared = []
    compare = callers.hmac.compare_digest
    monkeypatch.setattr(callers.hmac, "compare_digest", lambda a, b: compared.append(len(a)) or compare(a, b))

    def work(token):
        compared.clear()
        return caller_of(token), len(queries(token)), list(compared)

    unknown = work(str(other))
    wrong = work(str(key_text.KeyText(key.key_id, other.secret)))
    ApiKey.objects.update(expires_at=timezone.now())
    expired = work(str(text))
    keys.revoke(key)
    assert unknown == wrong == expired == work(str(text))
    assert unknown[:2] == (None, 1)


def test_a_stranger_cannot_tell_by_the_time_which_key_of_the_setting_it_comes_near(settings, monkeypatch):
    settings.API_KEYS = ["first-key", "second-key", "third-key"]
    compared = []
    compare = callers.hmac.compare_digest
    monkeypatch.setattr(callers.hmac, "compare_digest", lambda a, b: compared.append(b) or compare(a, b))

    for token in ("first-key", "second-key", "third-key", "first-keY"):
        compared.clear()
        caller_of(token)
        assert compared == [b"first-key", b"second-key", b"third-key"], token


def test_text_of_another_shape_asks_no_database():
    assert queries("pns_" + "a" * 10_000) == []


@on_postgresql
def test_a_key_is_found_by_an_index(made):
    _, text = made
    caller_of(str(text))
    with CaptureQueriesContext(connection) as captured:
        caller_of(str(text))
    assert "key_by_id" in plan_of(captured)


def test_use_is_noted_once_a_minute(made):
    key, text = made
    assert len(queries(str(text))) == 2
    key.refresh_from_db()
    noted = key.last_used_at
    assert timezone.now() - noted < timedelta(minutes=1)

    assert len(queries(str(text))) == 1
    key.refresh_from_db()
    assert key.last_used_at == noted
    ApiKey.objects.update(last_used_at=noted - timedelta(seconds=61))
    caller_of(str(text))
    key.refresh_from_db()
    assert key.last_used_at > noted


def test_a_refused_key_is_not_noted_as_used(made):
    key, text = made
    keys.revoke(key)
    caller_of(str(text))
    key.refresh_from_db()
    assert key.last_used_at is None


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_request_does_not_wait_for_a_change_of_its_key():
    key, text = keys.create(name="backend", scopes=[Scope.PAYMENTS_READ])
    found = []

    def call():
        found.append(caller_of(str(text)))
        connection.close()

    with transaction.atomic():
        ApiKey.objects.select_for_update().get(pk=key.pk)
        caller = threading.Thread(target=call)
        caller.start()
        caller.join(timeout=4)  # less than lock_timeout
        assert not caller.is_alive()
    assert found[0].name == "backend"
    key.refresh_from_db()
    assert key.last_used_at is None

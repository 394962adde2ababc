import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from access.api_keys import key_text, keys
from access.api_keys.callers import caller_of
from access.api_keys.scopes import Scope
from access.models import ApiKey

pytestmark = pytest.mark.django_db

READ = [Scope.PAYMENTS_READ]


def test_a_key_has_the_shape_that_scanners_look_for_and_256_bits():
    made = {str(key_text.make()) for _ in range(100)}

    assert len(made) == 100
    assert all(re.fullmatch(key_text.SHAPE, text) for text in made)
    assert 62**43 > 2**256


@pytest.mark.parametrize("text", ["", "dev-key", "pns_", "pns_0123456789abcdef_short", "Bearer pns_"])
def test_text_of_another_shape_is_no_key(text):
    assert key_text.parse(text) is None


def test_the_database_has_the_hash_of_the_secret_alone():
    key, text = keys.create(name="backend", scopes=READ)

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM access_apikey")
        stored = str(cursor.fetchall())
    assert text.secret not in stored
    assert key_text.digest(text.secret) in stored
    assert key.key_id in stored


@pytest.mark.parametrize(
    "name", ["", "  ", "a" * 65, "two\nlines", "API_KEYS[1]", "pns_backend", "right\u202eleft", "nul\0"]
)
def test_a_name_that_cannot_be_distinguished_from_others_is_refused(name):
    with pytest.raises(keys.RefusedError, match="Choose a name"):
        keys.create(name=name, scopes=READ)
    assert not ApiKey.objects.exists()


def test_a_name_is_taken_for_good():
    key, _ = keys.create(name="backend", scopes=READ)
    keys.revoke(key)

    with pytest.raises(keys.RefusedError, match="rotate that one"):
        keys.create(name="backend", scopes=READ)


def test_a_key_without_a_scope_and_one_that_has_ended_are_not_made():
    with pytest.raises(keys.RefusedError, match="payments:write, payments:read, links:read"):
        keys.create(name="backend", scopes=[])
    with pytest.raises(keys.RefusedError, match="a time in the future"):
        keys.create(name="backend", scopes=READ, expires_at=timezone.now())


def test_both_keys_work_while_they_overlap_and_have_one_name():
    old, old_text = keys.create(name="backend", scopes=READ)
    new, new_text = keys.rotate(old, overlap=timedelta(hours=1))

    assert caller_of(str(old_text)) == caller_of(str(new_text))
    assert caller_of(str(new_text)).name == "backend"
    old.refresh_from_db()
    assert old.replaced_by == new.key_id
    assert timedelta(minutes=59) < old.expires_at - timezone.now() <= timedelta(hours=1)
    assert keys.find("backend") == new
    assert keys.find(old.label) == old


def test_without_an_overlap_the_old_key_ends_at_once():
    old, text = keys.create(name="backend", scopes=READ)
    keys.rotate(old, overlap=timedelta(0))

    assert caller_of(str(text)) is None


def test_a_rotation_does_not_lengthen_the_life_of_a_key():
    end = timezone.now() + timedelta(minutes=5)
    old, _ = keys.create(name="backend", scopes=READ, expires_at=end)
    keys.rotate(old, overlap=timedelta(days=1))

    old.refresh_from_db()
    assert old.expires_at == end


def test_a_key_that_was_replaced_is_not_replaced_again():
    old, _ = keys.create(name="backend", scopes=READ)
    new, _ = keys.rotate(old)

    with pytest.raises(keys.RefusedError, match=f"replaced by pns_{new.key_id} already"):
        keys.rotate(old)
    assert ApiKey.objects.count() == 2


def test_a_revoked_name_lives_on_in_another_key():
    old, old_text = keys.create(name="backend", scopes=READ)
    keys.revoke(old)
    _, text = keys.rotate(old)

    assert caller_of(str(old_text)) is None
    assert caller_of(str(text)).name == "backend"
    assert ApiKey.objects.get(pk=old.pk).expires_at is None, "a revoked key has no end to come"


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=91)])
def test_an_overlap_is_bounded(overlap):
    key, _ = keys.create(name="backend", scopes=READ)
    with pytest.raises(keys.RefusedError, match="0 to 90 days"):
        keys.rotate(key, overlap=overlap)


def test_an_end_can_be_set_moved_and_lifted():
    key, text = keys.create(name="backend", scopes=READ)
    end = timezone.now() + timedelta(minutes=5)

    assert keys.expire(key, at=end).expires_at == end
    assert keys.expire(key, at=None).expires_at is None
    with pytest.raises(keys.RefusedError, match="revoke it"):
        keys.expire(key, at=timezone.now())
    ApiKey.objects.update(expires_at=timezone.now())
    assert caller_of(str(text)) is None


def test_a_key_that_was_replaced_keeps_an_end():
    old, _ = keys.create(name="backend", scopes=READ)
    keys.rotate(old)
    with pytest.raises(keys.RefusedError, match="give it a time"):
        keys.expire(old, at=None)


def test_revoking_is_for_good():
    key, text = keys.create(name="backend", scopes=READ)
    assert keys.revoke(key) == [key]

    assert caller_of(str(text)) is None
    for again in (lambda: keys.revoke(key), lambda: keys.expire(key, at=None)):
        with pytest.raises(keys.RefusedError, match="is revoked"):
            again()


def test_a_name_is_revoked_with_all_keys_that_bore_it():
    old, old_text = keys.create(name="backend", scopes=READ)
    new, new_text = keys.rotate(old)
    keys.create(name="another", scopes=READ)

    assert keys.revoke(new, with_replaced=True) == [old, new]
    assert caller_of(str(old_text)) is caller_of(str(new_text)) is None
    assert ApiKey.objects.filter(revoked_at=None).count() == 1


def test_an_unknown_key_is_not_found_and_its_secret_not_repeated():
    text = key_text.make()
    with pytest.raises(keys.RefusedError, match="api_key list") as refused:
        keys.find(str(text))
    assert text.secret not in str(refused.value)


@pytest.mark.django_db(transaction=True)
def test_of_many_rotations_at_once_one_makes_a_key():
    key, _ = keys.create(name="backend", scopes=READ)

    def rotate(_):
        try:
            keys.rotate(key)
        except keys.RefusedError:
            return 0
        else:
            return 1
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(rotate, range(8))) == 1
    assert ApiKey.objects.count() == 2


def test_a_service_without_any_key_says_how_to_make_one(settings):
    settings.API_KEYS = []
    assert "api_key create" in keys.problem()
    key, _ = keys.create(name="backend", scopes=READ)
    assert keys.problem() == ""
    keys.revoke(key)
    assert "api_key create" in keys.problem()
    settings.API_KEYS = ["a-key-of-the-setting-0123"]
    assert keys.problem() == ""

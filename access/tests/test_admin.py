from datetime import timedelta
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone

from access.api_keys import key_text, keys
from access.api_keys.callers import caller_of
from access.api_keys.scopes import Scope
from access.models import ApiKey

pytestmark = pytest.mark.django_db

ADD = "admin:access_apikey_add"
NEW = {"name": "ride backend", "scopes": ["payments:write", "payments:read"], "expires_at": "never"}


@pytest.fixture
def staff(client):
    """Log in somebody who may make and end keys."""
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="access"))
    client.force_login(user)
    return user


@pytest.fixture
def key():
    return keys.create(name="backend", scopes=[Scope.PAYMENTS_READ])[0]


def page(action, key):
    return reverse(f"admin:access_apikey_{action}", args=[key.pk])


def shown_key(response):
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    return (
        unescape(response.content.decode()).partition('<code id="key"')[2].partition(">")[2].partition("<")[0]
    )


def test_a_key_is_made_and_shown_once(client, staff, django_user_model):
    assert b"payments:write" in client.get(reverse(ADD)).content
    text = shown_key(client.post(reverse(ADD), NEW))

    assert caller_of(text).name == "ride backend"
    made = ApiKey.objects.get()
    secret = key_text.parse(text).secret
    for address in (page("change", made), page("history", made), reverse("admin:access_apikey_changelist")):
        answer = client.get(address)
        assert answer.status_code == 200
        assert secret not in answer.content.decode()
        assert made.label in answer.content.decode() or "history" in address
    [entry] = LogEntry.objects.all()
    assert (entry.user, entry.object_id, entry.is_addition()) == (staff, str(made.pk), True)
    assert secret not in f"{entry.change_message} {entry.object_repr}"
    assert not any(secret in str(session.get_decoded()) for session in Session.objects.all())
    assert not any(secret in cookie.value for cookie in client.cookies.values())


def test_the_same_form_sent_again_makes_no_second_key(client, staff):
    client.post(reverse(ADD), NEW)
    again = client.post(reverse(ADD), NEW)

    assert "choose another name" in unescape(again.content.decode())
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"scopes": []}, "This field is required"),
        ({"scopes": ["everything"]}, "not one of the available choices"),
        ({"expires_at": "soon"}, "90d"),
        ({"expires_at": "2020-01-31"}, "a time in the future"),
        ({"name": "API_KEYS[1]"}, "Choose a name"),
    ],
)
def test_what_cannot_be_made_says_what_to_give_instead(client, staff, changed, sentence):
    answer = client.post(reverse(ADD), NEW | changed)

    assert sentence in unescape(answer.content.decode())
    assert not ApiKey.objects.exists()


def test_a_key_is_rotated_and_sending_it_again_does_nothing(client, staff, key):
    assert b"Rotate" in client.get(page("change", key)).content
    asked = {"overlap": "2h", "expires_at": "never"}
    text = shown_key(client.post(page("rotate", key), asked))

    assert caller_of(text).name == "backend"
    key.refresh_from_db()
    assert timedelta(minutes=119) < key.expires_at - timezone.now() < timedelta(minutes=121)
    assert "replaced by" in unescape(client.post(page("rotate", key), asked).content.decode())
    assert ApiKey.objects.count() == 2
    assert sorted(entry.change_message for entry in LogEntry.objects.all()) == [
        f"Created in place of {key.label}.",
        f"Replaced by pns_{key.replaced_by}.",
    ]


def test_a_key_is_given_an_end_and_revoked(client, staff, key):
    assert client.get(page("expire", key)).status_code == 200
    client.post(page("expire", key), {"expires_at": "2999-01-31"})
    key.refresh_from_db()
    assert f"{key.expires_at:%Y-%m-%d}" == "2999-01-31"

    assert client.get(page("revoke", key)).status_code == 200
    key.refresh_from_db()
    assert key.revoked_at is None, "to look at the page revokes nothing"
    client.post(page("revoke", key))
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "revoked already" in unescape(client.post(page("revoke", key)).content.decode())
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        "Ends: 2999-01-31 00:00.",
        "Revoked.",
    ]


def test_who_may_look_changes_nothing(client, key):
    user = User.objects.create_user("looker", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_apikey"))
    client.force_login(user)

    assert b"Rotate" not in client.get(page("change", key)).content
    assert client.post(reverse(ADD), NEW).status_code == 403
    for action in ("rotate", "expire", "revoke"):
        for method in (client.get, client.post):
            assert method(page(action, key)).status_code == 403
    assert client.post(page("change", key), {"name": "x"}).status_code == 403
    assert client.post(page("delete", key), {"post": "yes"}).status_code == 403
    key.refresh_from_db()
    assert (key.name, key.replaced_by, key.revoked_at) == ("backend", "", None)


def test_superusers_do_not_edit_or_delete_keys_either(client, key):
    client.force_login(User.objects.create_superuser("root"))

    client.post(page("change", key), {"name": "x", "scopes": "refunds:write"})
    assert client.post(page("delete", key), {"post": "yes"}).status_code == 403
    key.refresh_from_db()
    assert (key.name, key.scopes) == ("backend", "payments:read")


def test_strangers_are_sent_to_the_login_and_unknown_keys_are_not_found(client, key, request):
    assert "login" in client.post(page("revoke", key)).url
    request.getfixturevalue("staff")
    assert client.get(reverse("admin:access_apikey_rotate", args=[0])).status_code == 404

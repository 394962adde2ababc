from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from notifications.auth import logins

pytestmark = pytest.mark.django_db


def log_in(name="rider@example.com"):
    """Return the session's key of a user that logs in, and the user."""
    user, _ = get_user_model().objects.get_or_create(username=name)
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value, user


def test_sessions_are_read_with_two_queries_however_many_they_are(django_assert_num_queries):
    keys = {log_in(f"user {n}")[0]: f"user {n}" for n in range(5)}
    with django_assert_num_queries(2):
        assert logins.read([*keys, "nobodyssession"]) == keys


def deactivate(session_key, user):
    user.is_active = False
    user.save()


def change_password(session_key, user):
    user.set_password("another")
    user.save()


def log_out(session_key, user):
    Session.objects.filter(pk=session_key).delete()


def expire(session_key, user):
    Session.objects.filter(pk=session_key).update(expire_date=timezone.now() - timedelta(seconds=1))


def spoil(session_key, user):
    Session.objects.filter(pk=session_key).update(session_data="nonsense")


def delete(session_key, user):
    user.delete()


@pytest.mark.parametrize("how", [deactivate, change_password, log_out, expire, spoil, delete])
def test_a_login_that_has_ended_is_left_out(how):
    key, user = log_in()
    other, _ = log_in("somebody else")
    assert key in logins.read([key])
    how(key, user)
    assert logins.read([key, other]) == {other: "somebody else"}


def test_a_session_without_a_user_or_of_another_backend_is_left_out(settings):
    key, _ = log_in()
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
    assert logins.read([key]) == {}

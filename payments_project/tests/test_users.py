"""The API's operations on users: what they take and refuse. Their effect is tested over the wire."""

import json
import time
from datetime import datetime

import pytest

from notifications.auth import tokens
from notifications.auth.grants import user_of
from notifications.models import Feed

pytestmark = pytest.mark.django_db

KEY = {"HTTP_AUTHORIZATION": "Bearer dev-key"}
SECRET = "a secret of the service's, long enough"


@pytest.fixture
def post(client, settings):
    settings.API_KEYS = ["dev-key"]
    settings.NOTIFICATIONS_TOKEN_SECRET = SECRET

    def send(path, body=None, **headers):
        body = "" if body is None else json.dumps(body)
        return client.post(f"/api/users/{path}", body, content_type="application/json", **(headers or KEY))

    return send


@pytest.mark.parametrize(
    ("body", "seconds"), [(None, 3600), ({}, 3600), ({"expiresIn": None}, 3600), ({"expiresIn": 60}, 60)]
)
def test_a_token_is_minted_for_the_user_and_the_time(post, body, seconds):
    answer = post("user_123/token", body)
    assert answer.status_code == 200
    assert list(answer.json()) == ["token", "expiresAt"]
    assert user_of(answer.json()["token"]) == "user_123"
    expires_at = datetime.fromisoformat(answer.json()["expiresAt"]).timestamp()
    assert seconds - 5 < expires_at - time.time() <= seconds


@pytest.mark.parametrize(
    "body", [{"expiresIn": each} for each in (0, -1, 86_401, "60", 1.5, True)] + [{"exp": 1}, []]
)
def test_a_life_that_is_no_number_of_seconds_within_bounds_is_refused(post, body):
    answer = post("user_123/token", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")


def test_without_a_secret_the_caller_is_sent_to_its_own_issuer(post, settings):
    settings.NOTIFICATIONS_TOKEN_SECRET = ""
    answer = post("user_123/token")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "tokens_not_minted")
    assert answer.json()["error"]["message"] == str(tokens.NoSecretError())


@pytest.mark.parametrize("operation", ["token", "disconnect"])
@pytest.mark.parametrize("user", ["a%00b", "x" * 129])
def test_what_can_be_no_user_id_is_refused(post, operation, user):
    assert post(f"{user}/{operation}").status_code == 422


@pytest.mark.parametrize("operation", ["token", "disconnect"])
def test_without_a_key_nothing_is_done(post, operation):
    answer = post(f"user_123/{operation}", HTTP_AUTHORIZATION="Bearer another")
    assert answer.status_code == 401
    assert not Feed.objects.exists()


def test_disconnects_are_counted_in_the_users_feed(post):
    for _ in range(2):
        answer = post("auth0%7C1%2F😀/disconnect")
        assert (answer.status_code, answer.content) == (204, b"")
    assert list(Feed.objects.values_list("user_id", "disconnects", "last_seq")) == [("auth0|1/😀", 2, 0)]

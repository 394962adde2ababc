import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest

from notifications.auth import UnauthorizedError, authorize

SECRET = "a secret of the ride backend's, long enough"


@pytest.fixture(autouse=True)
def _tokens_are_wanted(settings):
    settings.NOTIFICATIONS_AUTH = "token"
    settings.NOTIFICATIONS_TOKEN_SECRET = SECRET


def token(*, secret=SECRET, algorithm="HS256", without=(), **claims):
    claims = {"sub": "user_123", "exp": time.time() + 60} | claims
    return jwt.encode({k: v for k, v in claims.items() if k not in without}, secret, algorithm=algorithm)


def raw_token(header, payload="{}"):
    parts = (base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in (header, payload, "x"))
    return ".".join(parts)


def test_a_token_for_the_user_is_accepted():
    authorize(user_id="user_123", token=token())
    authorize(user_id="😀", token=token(sub="😀"))


@pytest.mark.parametrize("seconds", [-25, 0, 25])
def test_the_clock_of_who_signs_may_differ_a_little(seconds):
    now = time.time() + seconds
    authorize(user_id="user_123", token=token(iat=now, nbf=now, exp=now + 1))


def test_where_registration_is_open_no_token_is_looked_at(settings):
    settings.NOTIFICATIONS_AUTH = "open"
    authorize(user_id="user_123", token=None)
    authorize(user_id="user_123", token="nonsense")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda: None, "needed"),
        (lambda: "", "not valid"),
        (lambda: "a.b.c", "not valid"),
        (lambda: "ü😀", "not valid"),
        (lambda: token(sub="user_124"), "another user"),
        (lambda: token(sub="user_123 "), "another user"),
        (lambda: token(sub="\ud800"), "another user"),
        (lambda: token(without=["sub"]), "not valid"),
        (lambda: token(without=["exp"]), "not valid"),
        (lambda: token(exp=time.time() - 35), "expired"),
        (lambda: token(nbf=time.time() + 60), "not valid"),
        (lambda: token(iat=time.time() + 60), "not valid"),
        (lambda: token(aud="another service"), "not valid"),
        (lambda: token(secret="another secret that is as long as ours is"), "not valid"),
        (lambda: token(secret=SECRET * 2, algorithm="HS512"), "not valid"),
        (lambda: token(secret=None, algorithm="none"), "not valid"),
        (lambda: token()[:-2], "not valid"),
        (lambda: raw_token('{"alg":"HS256","crit":["exp"]}'), "not valid"),
        (lambda: raw_token("[" * 5000), "not valid"),
        (lambda: raw_token('{"alg":"HS256"}', "[" * 5000), "not valid"),
    ],
)
def test_anything_else_is_refused_with_a_reason_for_the_client(bad, says):
    with pytest.raises(UnauthorizedError, match=says):
        authorize(user_id="user_123", token=bad())


def signed_by_hand(payload, *, secret):
    """Return a token that the library would refuse to make."""
    signed = raw_token('{"alg":"HS256","typ":"JWT"}', json.dumps(payload)).rpartition(".")[0]
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def test_a_subject_that_is_no_text_is_refused():
    expires_at = time.time() + 60
    authorize(user_id="123", token=signed_by_hand({"sub": "123", "exp": expires_at}, secret=SECRET))
    with pytest.raises(UnauthorizedError, match="not valid"):
        authorize(user_id="123", token=signed_by_hand({"sub": 123, "exp": expires_at}, secret=SECRET))


def test_without_a_secret_nobody_is_let_in(settings):
    settings.NOTIFICATIONS_TOKEN_SECRET = ""
    forged = signed_by_hand({"sub": "user_123", "exp": time.time() + 60}, secret="")
    with pytest.raises(UnauthorizedError, match="not valid"):
        authorize(user_id="user_123", token=forged)

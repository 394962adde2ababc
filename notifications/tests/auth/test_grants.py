"""Who may register: with a token, with a login, or anybody. Forgeries of tokens are in test_tokens.py."""

import time

import jwt
import pytest
from asgiref.sync import async_to_sync
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from notifications.auth import grants, handshake, tokens
from notifications.auth.grants import Grant, KeysUnavailableError, UnauthorizedError, user_of

SECRET = "a secret of the ride backend's, long enough"
NOTHING = handshake.read({})


@pytest.fixture(autouse=True)
def _tokens_are_wanted(settings):
    settings.NOTIFICATIONS_AUTH = "token"
    settings.NOTIFICATIONS_TOKEN_SECRET = SECRET


def authorize(*, user_id="user_123", token=None, offered=NOTHING):
    return async_to_sync(grants.authorize)(user_id=user_id, token=token, handshake=offered)


def token(sub="user_123", seconds=60):
    return jwt.encode({"sub": sub, "exp": time.time() + seconds}, SECRET, algorithm="HS256")


def offering(*subprotocols):
    return handshake.read({"subprotocols": list(subprotocols)})


def test_a_token_for_the_user_is_accepted_until_it_expires():
    for user_id in ("user_123", "😀"):
        expires_at = authorize(user_id=user_id, token=token(user_id)).expires_at
        assert 55 < expires_at - time.time() < 61


def test_where_registration_is_open_no_token_is_looked_at(settings):
    settings.NOTIFICATIONS_AUTH = "open"
    assert authorize() == authorize(token="nonsense") == Grant()


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda: None, "needed"),
        (lambda: "", "not valid"),
        (lambda: "a.b.c", "not valid"),
        (lambda: token("user_124"), "another user"),
        (lambda: token("user_123 "), "another user"),
        (lambda: token("\ud800"), "another user"),
        (lambda: token(seconds=-35), "expired"),
        (lambda: token()[:-8], "not valid"),
    ],
)
def test_anything_else_is_refused_with_a_reason_for_the_client(bad, says):
    with pytest.raises(UnauthorizedError, match=says):
        authorize(token=bad())


def test_a_token_of_the_handshake_counts_where_the_registration_has_none():
    offered = offering("notifications", f"bearer.{token()}")
    assert authorize(offered=offered).expires_at
    with pytest.raises(UnauthorizedError, match="another user"):
        authorize(token=token("user_124"), offered=offered)
    with pytest.raises(UnauthorizedError, match="not valid"):
        authorize(offered=offering("bearer.", "notifications"))


def test_a_token_tells_its_user_to_other_parts_of_the_service(settings):
    assert user_of(token("user_124")) == "user_124"
    settings.NOTIFICATIONS_AUTH = "open"
    assert user_of(token()) == "user_123"
    with pytest.raises(UnauthorizedError, match="not valid"):
        user_of("nonsense")
    with pytest.raises(UnauthorizedError, match="expired"):
        user_of(token(seconds=-40))
    settings.NOTIFICATIONS_TOKEN_SECRET = ""
    with pytest.raises(UnauthorizedError, match="not valid"):
        user_of(token())


def test_a_public_key_from_a_file_verifies_and_signs_nothing(settings, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "key.pem"
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    settings.NOTIFICATIONS_TOKEN_SECRET, settings.NOTIFICATIONS_TOKEN_ALGORITHM = "", "ES256"
    settings.NOTIFICATIONS_TOKEN_KEY_FILE = str(path)
    claims = {"sub": "user_123", "exp": time.time() + 60}
    assert authorize(token=jwt.encode(claims, key, algorithm="ES256", headers={"kid": "any"}))
    with pytest.raises(UnauthorizedError, match="not valid"):
        authorize(token=token())
    with pytest.raises(tokens.NoSecretError):
        tokens.mint(user_id="user_123")
    settings.NOTIFICATIONS_TOKEN_KEY_FILE = str(tmp_path / "gone.pem")
    with pytest.raises(KeysUnavailableError):
        authorize(token=token())

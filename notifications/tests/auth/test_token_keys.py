"""Where keys come from: a file, and an issuer's key set on a real server."""

import asyncio
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from notifications import metrics
from notifications.auth import grants, key_sets, token_keys
from notifications.auth.grants import KeysUnavailableError, UnauthorizedError, user_of
from notifications.auth.token_keys import KeyFileError, KeySet, read_key_file
from notifications.tests.conftest import total
from notifications.tests.issuer import Issuer

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P256 = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def public(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS384"), (P256, "ES256"), (ED, "EdDSA")]
)
def test_a_public_key_that_fits_is_read(tmp_path, key, algorithm):
    path = tmp_path / "key.pem"
    path.write_bytes(public(key))
    assert read_key_file(str(path), algorithm=algorithm).public_numbers if key is not ED else True


@pytest.mark.parametrize(
    ("content", "algorithm", "reason"),
    [
        (b"", "RS256", "no public key"),
        (b"a secret", "RS256", "no public key"),
        (RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "RS256", "no public key"),
        (public(RSA), "ES256", "another kind"),
        (public(P256), "RS256", "another kind"),
        (public(P256), "ES384", "another kind"),
        (public(ED), "RS256", "another kind"),
        (public(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "RS256", "too short"),
    ],
)
def test_a_file_with_anything_else_is_refused_with_the_reason(tmp_path, content, algorithm, reason):
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=reason):
        read_key_file(str(path), algorithm=algorithm)
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_key_file(str(tmp_path / "elsewhere.pem"), algorithm=algorithm)


@pytest.fixture
def issuer(settings, monkeypatch):
    monkeypatch.setattr(token_keys, "PAUSE_SECONDS", 0.05)
    issuer = Issuer()
    settings.NOTIFICATIONS_TOKEN_SECRET = ""
    settings.NOTIFICATIONS_TOKEN_ALGORITHM = "RS256"
    settings.NOTIFICATIONS_TOKEN_JWKS_URL = issuer.url
    yield issuer
    issuer.close()


def test_the_keys_of_an_issuer_are_fetched_once(issuer):
    for _ in range(20):
        assert user_of(issuer.token()) == "user_123"
    assert issuer.asked == 1


def test_a_new_key_is_fetched_when_a_token_names_it_and_a_withdrawn_one_is_refused(issuer):
    old = issuer.token()
    assert user_of(old) == "user_123"
    issuer.rotate("second")
    assert user_of(issuer.token()) == "user_123"
    assert user_of(old) == "user_123"
    issuer.rotate("third", keep=False)
    assert user_of(issuer.token()) == "user_123"
    with pytest.raises(UnauthorizedError, match="not valid"):
        user_of(old)


def test_a_token_of_a_key_that_is_not_published_is_refused(issuer):
    issuer.rotate("secret")
    issuer.published = ["first"]
    with pytest.raises(UnauthorizedError, match="not valid"):
        user_of(issuer.token())
    with pytest.raises(UnauthorizedError, match="not valid"):
        user_of(issuer.token(headers={"kid": "first"}))


async def test_many_unknown_keys_cost_one_fetch_in_a_while(issuer, monkeypatch):
    keys = KeySet(url=issuer.url, algorithm="RS256")
    monkeypatch.setattr(token_keys, "PAUSE_SECONDS", 0.5)
    began = time.monotonic()
    for round_ in range(2):
        waits = {asyncio.wrap_future(keys.fetch_for(f"{round_}-{n}")) for n in range(200)}
        await asyncio.wait(waits)
    assert issuer.asked == 2
    assert time.monotonic() - began >= 0.5
    assert keys.find("first") is not None


def test_a_token_without_a_key_id_is_taken_where_there_is_one_key(issuer):
    assert user_of(issuer.token(headers={})) == "user_123"
    issuer.rotate("second")
    assert user_of(issuer.token()) == "user_123"
    with pytest.raises(UnauthorizedError):
        user_of(issuer.token(headers={}))


BAD_ANSWERS = {
    "an error": lambda: (500, {}, b"{}"),
    "a redirect": lambda: (302, {"Location": "http://127.0.0.1:1/"}, b""),
    "no JSON": lambda: (200, {}, b"<html>"),
    "another object": lambda: (200, {}, b'{"keys": {}}'),
    "no object": lambda: (200, {}, b"[]"),
    "no keys": lambda: (200, {}, b'{"keys": []}'),
    "too much": lambda: (200, {}, b" " * (key_sets.SET_MAX_BYTES + 1)),
    "too many": lambda: (200, {}, json.dumps({"keys": [{}] * 101}).encode()),
    "deep nonsense": lambda: (200, {}, b"[" * 100_000),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_old_keys_stay_while_the_issuer_does_not_answer_with_keys(issuer, monkeypatch, name, caplog):
    good, before = issuer.token(), total(metrics.KEY_FAILURES)
    assert user_of(good) == "user_123"
    monkeypatch.setattr(token_keys, "FRESH_SECONDS", 0.0)
    issuer.answer = BAD_ANSWERS[name]
    issuer.rotate("second")
    with pytest.raises(KeysUnavailableError):
        user_of(issuer.token())
    assert user_of(good) == "user_123"
    assert total(metrics.KEY_FAILURES) > before
    assert issuer.url not in caplog.text
    issuer.answer = None
    assert user_of(issuer.token()) == "user_123"


def test_an_issuer_that_is_away_from_the_start_makes_nobody_unauthorized(issuer, settings):
    issuer.close()
    with pytest.raises(KeysUnavailableError):
        user_of(issuer.token())
    settings.NOTIFICATIONS_TOKEN_JWKS_URL = ""
    issuer.close = lambda: None


def late(issuer):
    time.sleep(0.4)
    return issuer.jwks()


def drip(issuer):
    def pieces():
        for _ in range(100):
            time.sleep(0.05)
            yield b" "

    return 200, {}, pieces()


@pytest.mark.parametrize("how", [late, drip])
def test_an_issuer_that_takes_its_time_is_given_up(issuer, monkeypatch, how):
    monkeypatch.setattr(key_sets, "ANSWER_SECONDS", 0.2)
    issuer.answer = lambda: how(issuer)
    with pytest.raises(KeysUnavailableError):
        user_of(issuer.token())


def test_old_keys_serve_while_new_ones_are_fetched(issuer, monkeypatch):
    assert user_of(issuer.token()) == "user_123"
    monkeypatch.setattr(token_keys, "FRESH_SECONDS", 0.0)

    def slow():
        time.sleep(0.3)
        return issuer.jwks()

    issuer.answer = slow
    began = time.monotonic()
    assert user_of(issuer.token()) == "user_123"
    assert time.monotonic() - began < 0.3


def test_few_threads_wait_for_keys_and_the_others_are_free_at_once(issuer, monkeypatch):
    monkeypatch.setattr(grants._WAITING, "acquire", lambda *, blocking: False)
    with pytest.raises(KeysUnavailableError):
        user_of(issuer.token())


@pytest.mark.parametrize(
    "change",
    [{"use": "enc"}, {"alg": "PS256"}, {"kty": "oct", "k": "c2VjcmV0"}, {"n": "AQAB"}, {"kid": 7}],
)
def test_keys_for_something_else_are_left_out(issuer, change):
    issuer.rotate("second")
    issuer.answer = lambda: (
        200,
        {},
        json.dumps({"keys": [7, issuer.jwk("first", **change), issuer.jwk("second")]}).encode(),
    )
    assert user_of(issuer.token()) == "user_123"
    with pytest.raises(UnauthorizedError):
        user_of(issuer.token(kid="first"))

"""Tokens as strangers forge them, and as issuers make them."""

import base64
import hashlib
import hmac
import json
import time
from contextlib import suppress

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import assume, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from notifications.auth import tokens
from notifications.auth.tokens import InvalidTokenError, key_id, verify

SECRET = "a secret of the ride backend's, long enough"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(autouse=True)
def _keys(settings):
    settings.NOTIFICATIONS_TOKEN_SECRET = SECRET
    settings.NOTIFICATIONS_TOKEN_ALGORITHM = "HS256"


def prove(token, *, key=SECRET):
    """Return the user id that a token proves."""
    key_id(token)
    return verify(token, key=key).user_id


def claims(**changed):
    all_claims = {"sub": "user_123", "exp": time.time() + 60} | changed
    return {name: value for name, value in all_claims.items() if value is not None}


def token(*, secret=SECRET, algorithm="HS256", headers=None, **changed):
    return jwt.encode(claims(**changed), secret, algorithm=algorithm, headers=headers)


def encoded(part):
    text = part if isinstance(part, bytes) else part.encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def by_hand(payload, *, header='{"alg":"HS256","typ":"JWT"}', secret=SECRET):
    """Return a rightly signed token that the library would refuse to make. Header and payload are JSON text."""
    secret = secret if isinstance(secret, bytes) else secret.encode()
    payload = payload if isinstance(payload, str) else json.dumps(payload)
    signed = f"{encoded(header)}.{encoded(payload)}"
    return f"{signed}.{encoded(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def jwk_of(key):
    return jwt.get_algorithm_by_name("RS256").to_jwk(key.public_key(), as_dict=True)


SOON = int(time.time()) + 60
FORGERIES = {
    "empty": lambda: "",
    "no token": lambda: "a.b.c",
    "no latin": lambda: "ü😀",
    "four parts": lambda: f"{token()}.x",
    "signed with nothing": lambda: jwt.encode(claims(), None, algorithm="none"),
    "none in other case": lambda: ".".join([encoded('{"alg":"nOnE"}'), encoded(json.dumps(claims())), ""]),
    "stripped of its signature": lambda: token().rpartition(".")[0] + ".",
    "half of a signature": lambda: token()[:-8],
    "another secret": lambda: token(secret="another secret that is as long as ours is"),
    "another hash": lambda: token(secret=SECRET * 2, algorithm="HS512"),
    "no algorithm": lambda: by_hand(claims(), header='{"typ":"JWT"}'),
    "a list of algorithms": lambda: by_hand(claims(), header='{"alg":["HS256"]}'),
    "an unknown critical header": lambda: by_hand(claims(), header='{"alg":"HS256","crit":["exp"],"exp":1}'),
    "an unencoded payload": lambda: by_hand(claims(), header='{"alg":"HS256","b64":false,"crit":["b64"]}'),
    "a key in its header": lambda: jwt.encode(
        claims(), RSA_KEY, algorithm="RS256", headers={"jwk": jwk_of(RSA_KEY)}
    ),
    "an address of keys in its header": lambda: jwt.encode(
        claims(),
        RSA_KEY,
        algorithm="RS256",
        headers={"jku": "https://evil.example/jwks", "x5u": "https://e.x"},
    ),
    "a key id that is no text": lambda: by_hand(claims(), header='{"alg":"HS256","kid":1}'),
    "a key id that is a list": lambda: by_hand(claims(), header='{"alg":"HS256","kid":["a"]}'),
    "deep header": lambda: by_hand(claims(), header="[" * 5000),
    "deep payload": lambda: by_hand("[" * 5000),
    "a list": lambda: by_hand("[]"),
    "no JSON": lambda: by_hand("sub=user_123"),
    "no subject": lambda: token(sub=None),
    "a subject that is a number": lambda: by_hand(claims(sub=123)),
    "a subject that is a list": lambda: by_hand(claims(sub=["user_123"])),
    "an empty audience": lambda: token(aud=[]),
    "two subjects": lambda: by_hand(f'{{"sub":"user_124","sub":"user_123","exp":{SOON}}}'),
    "two ends": lambda: by_hand(f'{{"sub":"user_123","exp":1,"exp":{SOON}}}'),
    "two algorithms": lambda: by_hand(claims(), header='{"alg":"none","alg":"HS256"}'),
    "no end": lambda: token(exp=None),
    "an end that is null": lambda: by_hand('{"sub":"user_123","exp":null}'),
    "an end that is text": lambda: by_hand(claims(exp=str(SOON))),
    "an end that is true": lambda: by_hand(claims(exp=True)),
    "an end that is infinite": lambda: by_hand('{"sub":"user_123","exp":1e999}'),
    "an end that is no number": lambda: by_hand('{"sub":"user_123","exp":NaN}'),
    "an end that is an object": lambda: by_hand(claims(exp={})),
    "not valid yet": lambda: token(nbf=time.time() + 60),
    "made in the future": lambda: token(iat=time.time() + 60),
    "a time that is text": lambda: by_hand(claims(nbf="1")),
    "for another audience": lambda: token(aud="another service"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_token_that_is_forged_or_malformed_is_refused(name):
    with pytest.raises(InvalidTokenError, match=r"not valid|expired"):
        prove(FORGERIES[name]())


def test_a_public_key_is_no_secret(settings):
    """The confusion of algorithms: HS256, signed with the public key that everybody knows."""
    settings.NOTIFICATIONS_TOKEN_ALGORITHM = "RS256"
    for secret in (PEM, PEM.strip(), RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)):
        with pytest.raises(InvalidTokenError, match="not valid"):
            prove(by_hand(claims(), secret=secret), key=RSA_KEY.public_key())


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", RSA_KEY),
        ("PS512", RSA_KEY),
        ("ES256", ec.generate_private_key(ec.SECP256R1())),
        ("ES512", ec.generate_private_key(ec.SECP521R1())),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
    ],
)
def test_the_algorithm_is_the_one_of_the_settings(settings, algorithm, key):
    settings.NOTIFICATIONS_TOKEN_ALGORITHM = algorithm
    assert prove(jwt.encode(claims(), key, algorithm=algorithm), key=key.public_key()) == "user_123"
    settings.NOTIFICATIONS_TOKEN_ALGORITHM = "RS384"
    with pytest.raises(InvalidTokenError, match="not valid"):
        prove(jwt.encode(claims(), key, algorithm=algorithm), key=key.public_key())


@pytest.mark.parametrize("exp", [10**30, 4_102_444_800, 2**63])
def test_a_token_that_is_good_for_too_long_is_refused_with_the_longest_life(settings, exp):
    settings.NOTIFICATIONS_TOKEN_MAX_SECONDS = 86_400
    with pytest.raises(InvalidTokenError, match="within 86400 seconds"):
        prove(by_hand(claims(exp=exp)))
    assert prove(token(exp=time.time() + 86_395)) == "user_123"


def test_an_expired_token_is_refused_as_expired():
    with pytest.raises(InvalidTokenError, match="expired"):
        prove(token(exp=time.time() - tokens.LEEWAY_SECONDS - 5))


@pytest.mark.parametrize("seconds", [-25, 0, 25])
def test_the_clock_of_an_issuer_may_differ_a_little(seconds):
    now = time.time() + seconds
    assert prove(token(iat=now, nbf=now, exp=now + 1)) == "user_123"


@pytest.mark.parametrize(
    ("setting", "right", "wrong"),
    [
        (
            "AUDIENCE",
            [{"aud": "payments"}, {"aud": ["other", "payments"]}],
            [{}, {"aud": "pay"}, {"aud": []}],
        ),
        ("ISSUER", [{"iss": "payments"}], [{}, {"iss": "payments/"}, {"iss": ["payments"]}, {"iss": None}]),
    ],
)
def test_audience_and_issuer_are_checked_once_they_are_configured(settings, setting, right, wrong):
    setattr(settings, f"NOTIFICATIONS_TOKEN_{setting}", "payments")
    for more in right:
        assert prove(by_hand(claims() | more)) == "user_123"
    for more in wrong:
        with pytest.raises(InvalidTokenError):
            prove(by_hand(claims() | more))


def test_the_issuer_does_not_matter_until_it_is_configured():
    assert prove(token(iss="anyone")) == "user_123"


def test_the_type_is_checked_once_it_is_configured(settings):
    assert prove(token(headers={"typ": "at+jwt"})) == "user_123"
    settings.NOTIFICATIONS_TOKEN_TYPE = "notifications+jwt"
    for typ in ("notifications+jwt", "Notifications+JWT", "application/notifications+jwt"):
        assert prove(token(headers={"typ": typ})) == "user_123"
    for header in ('{"alg":"HS256"}', '{"alg":"HS256","typ":"JWT"}', '{"alg":"HS256","typ":1}'):
        with pytest.raises(InvalidTokenError):
            prove(by_hand(claims(), header=header))


def test_any_user_id_can_be_proved():
    for user_id in ("😀", "a@b.com", "auth0|1", "x" * 128, "a\nb"):
        assert prove(token(sub=user_id)) == user_id


def test_without_a_secret_nothing_is_proved():
    for key in ("", None):
        with pytest.raises(InvalidTokenError, match="not valid"):
            prove(by_hand(claims(), secret=""), key=key)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@limits(max_examples=50)
@given(
    st.dictionaries(st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "jti"]), _json),
    st.dictionaries(st.sampled_from(["alg", "typ", "kid", "jku", "jwk", "crit", "b64", "zip"]), _json),
)
def test_no_signed_nonsense_raises_anything_but_a_refusal(payload, header):
    forged = by_hand(json.dumps(payload), header=json.dumps({"alg": "HS256"} | header))
    with suppress(InvalidTokenError):
        assert prove(forged) == payload["sub"]


ORIGINAL = token(exp=SOON + 600)


@limits(max_examples=50)
@given(st.integers(0, len(ORIGINAL) - 2), st.characters(codec="ascii"))
def test_a_changed_token_proves_nothing(place, other):
    """But for the last character, of which some bits mean nothing."""
    assume(other != ORIGINAL[place])
    with pytest.raises(InvalidTokenError):
        prove(ORIGINAL[:place] + other + ORIGINAL[place + 1 :])


def test_a_minted_token_proves_its_user_for_as_long_as_it_says(settings):
    settings.NOTIFICATIONS_TOKEN_AUDIENCE, settings.NOTIFICATIONS_TOKEN_ISSUER = "payments", "rides"
    settings.NOTIFICATIONS_TOKEN_TYPE = "notifications+jwt"
    minted = tokens.mint(user_id="user_123", seconds=60)
    key_id(minted.token)
    proved = verify(minted.token, key=SECRET)
    assert proved == ("user_123", minted.expires_at.timestamp())
    assert 58 < proved.expires_at - time.time() <= 60


def test_a_token_is_minted_for_an_hour_or_for_the_longest_life_if_that_is_less(settings):
    assert 3590 < tokens.mint(user_id="u").expires_at.timestamp() - time.time() <= 3600
    settings.NOTIFICATIONS_TOKEN_MAX_SECONDS = 60
    assert 50 < tokens.mint(user_id="u").expires_at.timestamp() - time.time() <= 60


def test_without_a_secret_no_token_is_minted(settings):
    settings.NOTIFICATIONS_TOKEN_SECRET = ""
    with pytest.raises(tokens.NoSecretError, match="your own issuer"):
        tokens.mint(user_id="u")

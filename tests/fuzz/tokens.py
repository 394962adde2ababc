"""Tokens and API keys that were forged: none lets anybody in, on the WebSocket or over HTTP."""

import base64
import hashlib
import hmac
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.fuzz import wire
from tests.fuzz.drawn import VALUES, for_each
from tests.support import keys
from tests.support.production import API_KEY, TOKEN_SECRET

USER = "the user of somebody else"
PUBLIC_KEY = (
    rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
)
SECRETS = [
    b"",
    b"secret",
    TOKEN_SECRET[:-1].encode(),
    TOKEN_SECRET.lower().encode(),
    API_KEY.encode(),
    PUBLIC_KEY,
]
DIGESTS = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
ALGORITHMS = ["none", "None", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256"]
LATER = 2**40
BAD_CLAIMS = [
    {"exp": None},
    {"exp": 1},
    {"exp": -1},
    {"exp": "never"},
    {"exp": 10**30},
    {"exp": LATER},
    {"exp": []},
    {"nbf": LATER},
    {"iat": LATER},
    {"aud": "another service"},
    {"aud": [USER]},
    {"sub": None},
    {"sub": ""},
    {"sub": 7},
    {"sub": [USER]},
    {"sub": {"sub": USER}},
    {"sub": USER + "\0"},
]
"""What is wrong in a token that is rightly signed."""
OTHERS = [{"sub": USER + " "}, {"sub": USER.upper()}, {"sub": "the user"}]
"""Whose tokens are good, for others."""


def _part(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _signed(header, claims, *, secret, digest="HS256"):
    text = f"{_part(header)}.{_part(claims)}"
    return f"{text}.{_part(hmac.new(secret, text.encode(), DIGESTS[digest]).digest())}"


@st.composite
def _tokens(draw, bad_claims=BAD_CLAIMS):
    """Return a token that is wrong in one way or more."""
    claims = {"sub": USER, "exp": int(time.time()) + 600}
    header = {"typ": "JWT", "alg": "HS256"}
    extra = {
        "kid": st.sampled_from(["../../dev/null", "' OR 1=1", ""]),
        "jwk": st.just({"kty": "oct", "k": _part(b"secret")}),
        "jku": st.just("http://127.0.0.1:1/keys"),
        "x5u": st.just("http://127.0.0.1:1/cert"),
        "crit": st.just(["exp"]),
        "b64": st.just(False),
        "zip": st.just("DEF"),
        "typ": VALUES,
    }
    header |= draw(st.fixed_dictionaries({}, optional=extra))
    right = TOKEN_SECRET.encode()
    ways = {
        "a secret that is not ours": lambda: _signed(
            header | {"alg": draw(st.sampled_from(ALGORITHMS))},
            claims,
            secret=draw(st.sampled_from(SECRETS)),
            digest=draw(st.sampled_from(list(DIGESTS))),
        ),
        "no signature": lambda: (
            f"{_part(header | {'alg': draw(st.sampled_from(ALGORITHMS))})}.{_part(claims)}."
            + draw(st.sampled_from(["", "AA", ".", "="]))
        ),
        "claims": lambda: _signed({"alg": "HS256"}, claims | draw(st.sampled_from(bad_claims)), secret=right),
        "an algorithm": lambda: _signed(
            header | {"alg": draw(st.sampled_from([alg for alg in ALGORITHMS if alg != "HS256"]) | VALUES)},
            claims,
            secret=right,
            digest=draw(st.sampled_from(list(DIGESTS))),
        ),
        "claims that were not signed": lambda: _with_claims(
            _signed(header, {"sub": "me"}, secret=right), claims
        ),
        "a name twice": lambda: _signed(
            header, (json.dumps(claims)[:-1] + ', "sub": "me"}').encode(), secret=right
        ),
        "no token": lambda: draw(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=100)),
    }
    return ways[draw(st.sampled_from(list(ways)))]()


def _with_claims(token, claims):
    header, _, signature = token.split(".")
    return f"{header}.{_part(claims)}.{signature}"


def _keys(right):
    """Return what resembles API keys that are known."""
    known = st.sampled_from([API_KEY, right])
    cut = st.builds(lambda key, n: key[: n % len(key)], known, st.integers(0, 100))
    swapped = st.builds(_with, known, st.integers(0, 200), st.sampled_from("aZ0_-."))
    odd = st.sampled_from(
        [API_KEY.lower(), API_KEY * 2, f"{API_KEY},{API_KEY}", f"{API_KEY} x", f"'{API_KEY}'"]
    )
    return st.one_of(cut, swapped, odd).filter(lambda key: key not in {API_KEY, right})


def _with(key, place, letter):
    place %= len(key)
    return key[:place] + letter + key[place + 1 :]


def run(target, tally, *, seed, inputs):
    """Send forgeries as the WebSocket and the API take the real ones; all are refused."""
    _, granted = keys.grant(target.server, "payments:read")
    right = granted["Authorization"].removeprefix("Bearer ")
    try:

        @for_each(_tokens(BAD_CLAIMS + OTHERS), seed=seed, inputs=inputs // 2)
        def register(token):
            tally.inputs += 1
            _register(target, tally, token)

        @for_each(st.one_of(_tokens(), _keys(right)), seed=seed, inputs=inputs // 2)
        def read(text):
            tally.inputs += 1
            sent = b"GET /api/payments HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n"
            data = sent % text.encode()
            statuses = wire.count(tally, wire.exchange(target, data), data)
            assert set(statuses) <= {401}, f"{statuses} to {text!r}"
    finally:
        # Else the row counts as one that the campaign stored.
        target.server.database.execute("DELETE FROM access_apikey WHERE key_id = %s", right.split("_")[1])


def _register(target, tally, token):
    url = target.server.url.replace("http", "ws", 1) + "/basic/ws"
    with connect(url, proxy=None, ping_interval=None) as socket:
        socket.send(json.dumps({"type": "register", "userId": USER, "token": token}))
        answer = json.loads(socket.recv(timeout=10))
        tally.answers[answer.get("code", answer["type"])] += 1
        assert answer.get("code") == "unauthorized", f"{answer} to {token!r}"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
        assert closed.value.rcvd.code == 4401

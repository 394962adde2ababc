"""Download an issuer's key set (JWKS, RFC 7517), and choose the keys that fit an algorithm."""

import json
import time
from collections.abc import Iterable
from typing import Any

import jwt
import requests

# An issuer has a handful of keys of a few hundred bytes. The bounds keep an answer of any other kind out of memory.
ANSWER_SECONDS = 5.0
SET_MAX_BYTES = 256 * 1024
KEYS_MAX = 100
_PIECE_BYTES = 16 * 1024


def download(url: str) -> Any:
    """Return the JSON at an address. Follow no redirect, and bound its size and the whole time.

    Raises ValueError, which says what is wrong, TimeoutError, and errors of requests and urllib3.
    """
    ends_at = time.monotonic() + ANSWER_SECONDS
    # Uncompressed: a few bytes could unpack to more than the bound.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    # The settings alone choose where keys come from (docs/decisions/0044): a redirect would choose another place.
    with requests.get(
        url, headers=headers, timeout=ANSWER_SECONDS, stream=True, allow_redirects=False
    ) as answer:
        if answer.status_code != requests.codes.ok:
            raise ValueError(f"HTTP {answer.status_code}")
        body = bytearray()
        # `timeout` holds for each read. A server that sends a byte at a time would keep the thread for ever, so the
        # whole is timed here, after each piece that has arrived.
        while piece := answer.raw.read1(_PIECE_BYTES, decode_content=False):
            body += piece
            if len(body) > SET_MAX_BYTES:
                raise ValueError(f"more than {SET_MAX_BYTES // 1024} KiB")
            if time.monotonic() > ends_at:
                raise TimeoutError
    return json.loads(body)


def fitting(document: Any, *, algorithm: str) -> dict[str | None, jwt.PyJWK]:
    """Return the keys of a set that verify signatures of this algorithm, by their ids. Others may stand beside them."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > KEYS_MAX:
        raise ValueError(f'no object with "keys", a list of at most {KEYS_MAX}')
    found: dict[str | None, jwt.PyJWK] = {}
    for kid, key in _public_keys(listed, algorithm):
        found.setdefault(kid, key)
    if not found:
        raise ValueError(f"no key that fits {algorithm}")
    return found


def _public_keys(listed: Iterable[Any], algorithm: str) -> Iterable[tuple[str | None, jwt.PyJWK]]:
    for item in listed:
        # A symmetric key in a public document is no secret: each reader could sign with it.
        if not isinstance(item, dict) or item.get("kty") == "oct":
            continue
        kid = item.get("kid")
        # Both are optional (RFC 7517, sections 4.2 and 4.4).
        is_for_this = item.get("alg", algorithm) == algorithm and item.get("use", "sig") == "sig"
        if not is_for_this or not isinstance(kid, str | None):
            continue
        try:
            key = jwt.PyJWK(item, algorithm)
            is_weak = key.Algorithm.check_key_length(key.key)
        except Exception:  # noqa: BLE001, S112 a key of another kind may raise anything
            continue
        if not is_weak:
            yield kid, key

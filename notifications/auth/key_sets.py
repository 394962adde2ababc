"""Download an issuer's key set (JWKS, RFC 7517), and choose the keys that fit an algorithm."""

import json
import time
from collections.abc import Iterable
from typing import Any

import jwt
import requests

ANSWER_SECONDS = 5.0
SET_MAX_BYTES = 256 * 1024
KEYS_MAX = 100
_PIECE_BYTES = 16 * 1024


def download(url: str) -> Any:
    """Return the JSON at an address. Follow no redirect, and bound its size and the whole time."""
    ends_at = time.monotonic() + ANSWER_SECONDS
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    with requests.get(
        url, headers=headers, timeout=ANSWER_SECONDS, stream=True, allow_redirects=False
    ) as answer:
        if answer.status_code != requests.codes.ok:
            raise ValueError(f"HTTP {answer.status_code}")
        body = bytearray()
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
        if not isinstance(item, dict) or item.get("kty") == "oct":
            continue
        kid = item.get("kid")
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

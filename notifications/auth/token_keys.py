"""Find the key that verifies a user's token: a secret, a public key's file, or an issuer's key set (JWKS, RFC 7517).

The configuration fixes the source and the algorithm; nothing that a token says changes them. A key set is fetched in a
thread of its own, never on the event loop.
"""

import logging
import math
import threading
import time
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.conf import settings

from notifications import metrics
from notifications.auth import key_sets

logger = logging.getLogger(__name__)

FRESH_SECONDS = 300.0
"""Keys that are older are fetched again, and used meanwhile."""
PAUSE_SECONDS = 5.0
"""Fetches are at least this far apart, whatever keys tokens name."""


class KeyFileError(ValueError):
    """A file holds no public key for the algorithm. The message says why, as a clause."""


class Source(Protocol):
    """A source of keys."""

    has_failed: bool
    """Whether the last fetch failed, so that an unknown key may exist."""

    def find(self, kid: str | None) -> Any:
        """Return the key with this id as PyJWT takes it, or None."""

    def fetch_for(self, kid: str | None) -> Future[None] | None:
        """Return what to wait for before `find`, or None."""


def source() -> Source:
    """Return the configured source. Raises KeyFileError."""
    algorithm = settings.NOTIFICATIONS_TOKEN_ALGORITHM
    if settings.NOTIFICATIONS_TOKEN_JWKS_URL:
        return _key_set(settings.NOTIFICATIONS_TOKEN_JWKS_URL, algorithm)
    if settings.NOTIFICATIONS_TOKEN_KEY_FILE:
        return OneKey(_file_key(settings.NOTIFICATIONS_TOKEN_KEY_FILE, algorithm))
    return OneKey(settings.NOTIFICATIONS_TOKEN_SECRET)  # PyJWT refuses an empty one


class OneKey:
    """A source of one key, whatever id a token names."""

    has_failed = False

    def __init__(self, key: Any) -> None:
        self._key = key

    def find(self, kid: str | None) -> Any:  # noqa: ARG002 the protocol's signature
        """Return the key."""
        return self._key

    def fetch_for(self, kid: str | None) -> None:
        """Return None: the key is there."""


def read_key_file(path: str, *, algorithm: str) -> Any:
    """Return the public key of a PEM file. Raises KeyFileError if it is none, or does not fit the algorithm."""
    try:
        key = load_pem_public_key(Path(path).read_bytes())
    except OSError as error:
        raise KeyFileError(f"cannot be read ({type(error).__name__})") from None
    except Exception:  # noqa: BLE001 the library raises more than it documents
        raise KeyFileError("holds no public key in PEM (BEGIN PUBLIC KEY)") from None
    verifier = jwt.get_algorithm_by_name(algorithm)
    try:
        is_weak = bool(verifier.check_key_length(verifier.prepare_key(key)))
    except (jwt.InvalidKeyError, TypeError, ValueError):
        raise KeyFileError(f"holds a key of another kind than {algorithm} needs") from None
    if is_weak:
        raise KeyFileError(f"holds a key that is too short for {algorithm}")
    return key


class KeySet:
    """The keys of an issuer's address, kept between fetches. Any thread may use it.

    Keys that were fetched stay while the address does not answer. A fetch that succeeds replaces them all. From then on
    a key that the issuer withdrew is refused.
    """

    def __init__(self, *, url: str, algorithm: str) -> None:
        """Take the keys of this address that fit the algorithm. The first use fetches them."""
        self._url = url
        self._algorithm = algorithm
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._lock = threading.Lock()
        self._fetch: Future[None] | None = None
        self._fetched_at = self._tried_at = -math.inf
        self.has_failed = False

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key with this id. A token may leave the id out where there is one key only."""
        # Read once: a fetch in its thread may replace them between two reads.
        keys = self._keys
        if kid is None and len(keys) == 1:
            return next(iter(keys.values()))
        return keys.get(kid)

    def fetch_for(self, kid: str | None) -> Future[None] | None:
        """Begin to fetch if the key is unknown, or if the keys are old; return the fetch if the key is unknown.

        Fetches are PAUSE_SECONDS apart, so a fetch may begin later. All callers meanwhile get the same one.
        """
        with self._lock:
            is_known, now = self.find(kid) is not None, time.monotonic()
            is_fresh = now - self._fetched_at < FRESH_SECONDS
            if is_known and is_fresh:
                return None
            if self._fetch is None:
                self._fetch = Future()
                self._fetch.set_running_or_notify_cancel()  # no caller that waits can cancel it for the others
                delay = max(0.0, self._tried_at + PAUSE_SECONDS - now)
                threading.Thread(target=self._run, args=(delay,), name="token-keys", daemon=True).start()
            # With a key at hand nobody waits, and old keys are replaced beside their use.
            return None if is_known else self._fetch

    def _run(self, delay: float) -> None:
        # A client with an unknown key waits as well, so that a new key of the issuer is not refused meanwhile.
        time.sleep(delay)
        try:
            keys = key_sets.fitting(key_sets.download(self._url), algorithm=self._algorithm)
        except Exception as error:  # noqa: BLE001 whatever it is, the keys before stay
            self.has_failed = True
            metrics.KEY_FAILURES.inc()
            reason = _reason(error)
            logger.warning(
                "NOTIFICATIONS_TOKEN_JWKS_URL did not give keys: %s", reason, extra={"reason": reason}
            )
        else:
            self._keys, self._fetched_at, self.has_failed = keys, time.monotonic(), False
        with self._lock:
            self._tried_at = time.monotonic()
            done, self._fetch = self._fetch, None
        if done:  # no exception: each caller looks at the keys, and at `has_failed`
            done.set_result(None)


def _reason(error: Exception) -> str:
    """Return what to log. The messages of libraries quote addresses, which may hold a password."""
    return str(error) if type(error) is ValueError else type(error).__name__


@cache
def _key_set(url: str, algorithm: str) -> KeySet:
    return KeySet(url=url, algorithm=algorithm)


@cache
def _file_key(path: str, algorithm: str) -> Any:
    return read_key_file(path, algorithm=algorithm)

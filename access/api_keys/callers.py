"""Find the caller, by the key in the request's header."""

import hmac
import logging
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError

from access.api_keys import key_text, scopes, sql
from access.api_keys.scopes import Scope
from database.errors import describe

logger = logging.getLogger(__name__)

_NOBODYS = key_text.digest("")
"""Compared where no key has the id, so that an unknown key takes as long as one that is revoked."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A program with an API key: the key's name, and what it may do."""

    name: str
    scopes: frozenset[Scope]


def bearer(authorization: str) -> str:
    """Return the token of an Authorization header (RFC 6750, section 2.1); empty if it has none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def caller_of(token: str) -> Caller | None:
    """Return the caller that has this key; None if it is unknown, expired or revoked, without a difference.

    A key of API_KEYS asks no database. Another costs one read, in each request: a key that is revoked is refused by the
    next request. Raises Django's OperationalError where the database does not answer.
    """
    return _configured(token) or _stored(token)


def _configured(token: str) -> Caller | None:
    """Compare with each key of the setting, so that timing says nothing."""
    given = token.encode()
    matches = [hmac.compare_digest(given, key.encode()) for key in settings.API_KEYS]
    return Caller(name=f"API_KEYS[{matches.index(True) + 1}]", scopes=scopes.ALL) if True in matches else None


def _stored(token: str) -> Caller | None:
    text = key_text.parse(token)
    if text is None:
        return None
    key = sql.read(text.key_id)
    # First of all, so that an unknown, a wrong and a revoked key take the same steps (docs/decisions/0045).
    is_right = hmac.compare_digest(key_text.digest(text.secret), key.digest if key else _NOBODYS)
    if key is None or not is_right or not key.is_usable:
        return None
    if key.is_use_due:
        _note_use(key)
    return Caller(name=key.name, scopes=scopes.read(key.scopes))


def _note_use(key: sql.StoredKey) -> None:
    """Note that a key is used, committed before the request begins: no request fails by it, or waits for it."""
    try:
        sql.note_use(key.pk)
    except DatabaseError as error:
        logger.warning("The last use of API key %s was not noted: %s", key.name, describe(error))

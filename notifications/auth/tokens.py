"""Verify what a user's token claims, and mint tokens. The keys come from `token_keys`."""

import json
import time
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from typing import Any, NamedTuple

import jwt
from django.conf import settings

LEEWAY_SECONDS = 30
"""The signer's clock and ours may differ by this time."""
MINTED_SECONDS = 3600
"""A minted token is good for this time, unless the caller asks for another."""
ALGORITHM_OF_SECRETS = "HS256"


class InvalidTokenError(Exception):
    """A token proves nothing. The message is for its sender, and quotes nothing of the token."""


class NoSecretError(Exception):
    """The service has no secret to sign with."""

    def __init__(self) -> None:
        super().__init__(
            "This service only verifies the tokens of your own issuer: mint them there. "
            "To have them minted here, set NOTIFICATIONS_TOKEN_SECRET."
        )


class Claims(NamedTuple):
    """The facts that a token proves: the user id, and the end of its time (seconds of Unix time)."""

    user_id: str
    expires_at: float


class Minted(NamedTuple):
    """A token that was signed here, and when it expires."""

    token: str
    expires_at: datetime


def key_id(token: str) -> str | None:
    """Return the id of the key that a token names. It proves nothing. Raises InvalidTokenError."""
    try:
        header, _ = [_read_strictly(part) for part in token.split(".")[:2]]
        kid: str | None = header.get("kid")
    except (ValueError, AttributeError, RecursionError):
        raise InvalidTokenError(_NOT_VALID) from None
    if not (kid is None or isinstance(kid, str)):
        raise InvalidTokenError(_NOT_VALID)
    return kid


def verify(token: str, *, key: Any) -> Claims:
    """Return what the token proves by this key, as PyJWT takes it; None proves nothing. Raises InvalidTokenError.

    The algorithm, the audience, the issuer and the type are those of the settings. LEEWAY_SECONDS apply to `exp`, `nbf`
    and `iat`. Rules of RFC 7519 and RFC 8725.
    """
    try:
        return _claims(token, key)
    except jwt.ExpiredSignatureError:
        raise InvalidTokenError("The token has expired.") from None
    except InvalidTokenError:
        raise
    except Exception:  # noqa: BLE001 a hostile token may make the library raise anything
        raise InvalidTokenError(_NOT_VALID) from None


def mint(*, user_id: str, seconds: int | None = None) -> Minted:
    """Return a token for this user that is good for `seconds`. Raises NoSecretError.

    The caller bounds `seconds` by NOTIFICATIONS_TOKEN_MAX_SECONDS.
    """
    if not settings.NOTIFICATIONS_TOKEN_SECRET:
        raise NoSecretError
    now = int(time.time())
    expires_at = now + (seconds or min(MINTED_SECONDS, settings.NOTIFICATIONS_TOKEN_MAX_SECONDS))
    claims: dict[str, Any] = {"sub": user_id, "iat": now, "exp": expires_at}
    if settings.NOTIFICATIONS_TOKEN_ISSUER:
        claims["iss"] = settings.NOTIFICATIONS_TOKEN_ISSUER
    if settings.NOTIFICATIONS_TOKEN_AUDIENCE:
        claims["aud"] = settings.NOTIFICATIONS_TOKEN_AUDIENCE
    headers = {"typ": settings.NOTIFICATIONS_TOKEN_TYPE or "JWT"}
    token = jwt.encode(
        claims, settings.NOTIFICATIONS_TOKEN_SECRET, algorithm=ALGORITHM_OF_SECRETS, headers=headers
    )
    return Minted(token, datetime.fromtimestamp(expires_at, UTC))


def _claims(token: str, key: Any) -> Claims:
    decoded = jwt.decode_complete(
        token,
        key,
        # Never by the token's own `alg`: an attacker chooses that (RFC 8725, section 3.1).
        algorithms=[settings.NOTIFICATIONS_TOKEN_ALGORITHM],
        # With None PyJWT refuses a token with an audience: it is meant for another service (RFC 7519, section 4.1.3).
        audience=settings.NOTIFICATIONS_TOKEN_AUDIENCE or None,
        issuer=settings.NOTIFICATIONS_TOKEN_ISSUER or None,
        leeway=LEEWAY_SECONDS,
        options={"require": ["exp", "sub"], "enforce_minimum_key_length": True},
    )
    claims = decoded["payload"]
    if not all(_is_number(claims[name]) for name in ("exp", "nbf", "iat") if name in claims):
        raise InvalidTokenError(_NOT_VALID)
    if "aud" in claims and not settings.NOTIFICATIONS_TOKEN_AUDIENCE:  # PyJWT takes an empty one
        raise InvalidTokenError(_NOT_VALID)
    wanted = settings.NOTIFICATIONS_TOKEN_TYPE
    if wanted and _media_type(decoded["header"].get("typ", "")) != _media_type(wanted):
        raise InvalidTokenError("The token is of another type than is taken here.")
    longest = settings.NOTIFICATIONS_TOKEN_MAX_SECONDS
    if claims["exp"] - time.time() > longest + LEEWAY_SECONDS:
        raise InvalidTokenError(
            f"The token is good for too long. Send one that expires within {longest} seconds."
        )
    return Claims(str(claims["sub"]), float(claims["exp"]))


def _is_number(value: Any) -> bool:
    """Return whether a time is a number, as RFC 7519 wants it: the library takes text too."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _media_type(name: str) -> str:
    """Return a type for comparing: any case, with or without `application/` (RFC 7515, section 4.1.9)."""
    return name.lower().removeprefix("application/")


def _read_strictly(part: str) -> Any:
    """Return a part of a token. Raises ValueError if a name comes twice: readers differ in which value counts.

    See https://www.rfc-editor.org/rfc/rfc7519#section-4. The library reads the part once more, and refuses what is not
    encoded as it should be.
    """
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)), object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError
    return content


_NOT_VALID = "The token is not valid."

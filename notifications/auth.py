"""Decide whether a client may register for a user id."""

import hmac

import jwt
from django.conf import settings

LEEWAY_SECONDS = 30
"""How far the signer's clock and ours may differ."""


class UnauthorizedError(Exception):
    """A client did not prove that it may get a user's notifications. The message is sent to the client."""


def authorize(*, user_id: str, token: str | None) -> None:
    """Raise UnauthorizedError unless the client may get this user's notifications.

    NOTIFICATIONS_AUTH `open`: every client may. `token`: the client needs a JWT (RFC 7519), signed with HS256 and
    NOTIFICATIONS_TOKEN_SECRET, not expired, with the user id as `sub`. LEEWAY_SECONDS apply to `exp`, `nbf` and `iat`.
    """
    if settings.NOTIFICATIONS_AUTH == "open":
        return
    if token is None:
        raise UnauthorizedError('A token is needed. Send it as "token", beside "userId".')
    subject = user_of(token)
    if not hmac.compare_digest(subject.encode(errors="surrogatepass"), user_id.encode()):
        raise UnauthorizedError("The token is for another user.")


def user_of(token: str) -> str:
    """Return the user id that a token proves, whatever NOTIFICATIONS_AUTH says. Raises UnauthorizedError."""
    try:
        claims = jwt.decode(
            token,
            settings.NOTIFICATIONS_TOKEN_SECRET,  # PyJWT refuses an empty one
            algorithms=["HS256"],
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "sub"]},
        )
    except jwt.ExpiredSignatureError:
        raise UnauthorizedError("The token has expired.") from None
    except Exception:  # noqa: BLE001 a hostile token may make the library raise anything
        raise UnauthorizedError("The token is not valid.") from None
    return str(claims["sub"])

"""Who may register for a user id."""

import hmac

import jwt
from django.conf import settings

LEEWAY_SECONDS = 30
"""By how much the clocks of who signs and who checks may differ."""


class UnauthorizedError(Exception):
    """A client did not prove that it may have a user's notifications. Its text is for the client."""


def authorize(*, user_id: str, token: str | None) -> None:
    """Return if the client may have this user's notifications, else raise UnauthorizedError.

    NOTIFICATIONS_AUTH `open`: anybody may. `token`: the token is a JWT (RFC 7519) signed with HS256 and
    NOTIFICATIONS_TOKEN_SECRET, not expired, whose `sub` is the user id. Its times (`exp`, `nbf`, `iat`) are taken
    with LEEWAY_SECONDS.
    """
    if settings.NOTIFICATIONS_AUTH == "open":
        return
    if token is None:
        raise UnauthorizedError('A token is needed. Send it as "token", beside "userId".')
    subject = _subject(token)
    if not hmac.compare_digest(subject.encode(errors="surrogatepass"), user_id.encode()):
        raise UnauthorizedError("The token is for another user.")


def _subject(token: str) -> str:
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
    except Exception:  # noqa: BLE001 whatever a hostile token makes the library raise, it proves nothing
        raise UnauthorizedError("The token is not valid.") from None
    return str(claims["sub"])

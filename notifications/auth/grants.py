"""Decide whether a client may register for a user id, and for how long."""

import asyncio
import hmac
import threading
from concurrent.futures import Future
from typing import NamedTuple

from django.conf import settings

from access.staff import sessions
from database.threads import in_thread
from notifications.auth import logins, token_keys, tokens
from notifications.auth.handshake import Handshake

WAIT_SECONDS = 2.0
"""An HTTP request waits this long for keys."""
_WAITING = threading.BoundedSemaphore(4)
"""HTTP requests that wait for keys at once. The others keep their threads for other work."""


class UnauthorizedError(Exception):
    """A client did not prove that it may get a user's notifications. The message is sent to the client."""


class KeysUnavailableError(Exception):
    """The key that a token names cannot be fetched now. The client tries again in a moment."""


class Grant(NamedTuple):
    """The time for which a client may get a user's notifications. Without either value it is as long as it stays.

    `expires_at`: the end, in seconds of Unix time. `session_key`: the session whose login has to last.
    """

    expires_at: float | None = None
    session_key: str | None = None


def may_connect(handshake: Handshake) -> bool:
    """Return whether to accept a connection. Where a cookie proves the user, only pages of this service may open one.

    Browsers send the cookie with every page's connections, and say whose page it is
    (https://www.rfc-editor.org/rfc/rfc6455#section-10.2).
    """
    return settings.NOTIFICATIONS_AUTH != "session" or handshake.is_ours


async def authorize(*, user_id: str, token: str | None, handshake: Handshake) -> Grant:
    """Return how long the client may get this user's notifications.

    NOTIFICATIONS_AUTH `open`: every client may. `token`: the client needs a JWT (RFC 7519) with the user id as `sub`,
    in the registration or, if there is none, in the handshake. `session`: the client's session has the login of this
    user. Raises UnauthorizedError, KeysUnavailableError, and for sessions a DatabaseError.
    """
    if settings.NOTIFICATIONS_AUTH == "open":
        return Grant()
    if settings.NOTIFICATIONS_AUTH == "session":
        return await _authorize_login(user_id, handshake.session_key)
    token = handshake.token if token is None else token
    if token is None:
        raise UnauthorizedError('A token is needed. Send it as "token", beside "userId".')
    claims = await _verify(token)
    if not _is_same(claims.user_id, user_id):
        raise UnauthorizedError("The token is for another user.")
    return Grant(expires_at=claims.expires_at)


def user_of(token: str) -> str:
    """Return the user id that a token proves. Call it from synchronous code; it may wait for keys.

    Raises UnauthorizedError with the reason, and KeysUnavailableError. It knows no users: any user id may be proved.
    """
    try:
        source, kid = _source(), tokens.key_id(token)
        if fetch := source.fetch_for(kid):
            _wait(fetch)
        return _verified(token, source=source, kid=kid).user_id
    except tokens.InvalidTokenError as error:
        raise UnauthorizedError(str(error)) from None


def _wait(fetch: Future[None]) -> None:
    if not _WAITING.acquire(blocking=False):
        raise KeysUnavailableError
    try:
        fetch.result(timeout=WAIT_SECONDS)
    except TimeoutError:
        raise KeysUnavailableError from None
    finally:
        _WAITING.release()


async def _verify(token: str) -> tokens.Claims:
    try:
        source, kid = _source(), tokens.key_id(token)
        if fetch := source.fetch_for(kid):
            # Not awaited by itself: that would cancel it with this connection, and others wait for the same fetch.
            await asyncio.wait({asyncio.wrap_future(fetch)})
        return _verified(token, source=source, kid=kid)
    except tokens.InvalidTokenError as error:
        raise UnauthorizedError(str(error)) from None


def _source() -> token_keys.Source:
    try:
        return token_keys.source()
    except token_keys.KeyFileError:  # a start check refuses it
        raise KeysUnavailableError from None


def _verified(token: str, *, source: token_keys.Source, kid: str | None) -> tokens.Claims:
    key = source.find(kid)
    # An issuer that is away may know this key: the client is to try again, and not to throw its token away.
    if key is None and source.has_failed:
        raise KeysUnavailableError
    return tokens.verify(token, key=key)


async def _authorize_login(user_id: str, session_key: str | None) -> Grant:
    users = {}
    if session_key and sessions.is_key(session_key):
        users = await in_thread(logins.read, [session_key])
    if session_key not in users:
        raise UnauthorizedError("A login is needed. Log in, then connect again.")
    if not _is_same(users[session_key], user_id):
        raise UnauthorizedError("The login is of another user.")
    return Grant(session_key=session_key)


def _is_same(proved: str, user_id: str) -> bool:
    # JSON lets a claim hold half of a surrogate pair. It is no user id, and must not raise here.
    return hmac.compare_digest(proved.encode(errors="surrogatepass"), user_id.encode())

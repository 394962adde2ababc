"""Let callers in: programs by their API key and its scopes, users by their own token."""

from dataclasses import dataclass

from django.http import HttpRequest
from ninja.security import HttpBearer

from access import limits
from access.addresses import client_address
from access.api_keys.callers import Caller, bearer, caller_of
from access.api_keys.scopes import Scope
from access.refusals import Kind, refused
from notifications.auth.grants import UnauthorizedError, user_of
from notifications.protocol import InvalidUserIdError, check_user_id

_OF_A_USER = frozenset({Scope.PAYMENTS_READ, Scope.LINKS_READ})
"""What a user may read of the user's own."""


@dataclass(frozen=True, kw_only=True)
class User:
    """A user with a token of the user's own, who reads what belongs to this user id."""

    user_id: str
    scopes: frozenset[Scope] = _OF_A_USER


class Called(HttpRequest):
    """A request of a caller who was let in."""

    auth: Caller | User


class MissingScope(Exception):
    """The caller is known, and may not do this."""

    def __init__(self, scope: Scope, *, caller: Caller | User) -> None:
        """Name the scope, and say which key to send."""
        what = "A user's token reads" if isinstance(caller, User) else f"The key {caller.name!r} lacks it"
        more = " that user's payments and notifications and nothing else" if isinstance(caller, User) else ""
        super().__init__(f"Send an API key with the scope {scope.value}. {what}{more}.")
        self.scope = scope


class OtherUser(Exception):
    """A user's token asked for what belongs to another user id."""


class ApiKey(HttpBearer):
    """A bearer token that gives a scope: an API key, or, for what users read, a user's own token."""

    def __init__(self, scope: Scope, *, users: bool = False) -> None:
        """Ask for a scope. `users`: a user's token gives it too, for what is the user's own."""
        super().__init__()
        self._scope = scope
        self._users = users

    def __call__(self, request: HttpRequest) -> Caller | User | None:
        """Return the caller, or None. Unlike ninja's own, do not log a malformed header with the key in it."""
        return self.authenticate(request, bearer(request.headers.get("Authorization", "")))

    def authenticate(self, request: HttpRequest, token: str) -> Caller | User | None:
        """Return the caller, or None if the token is not known. Raises MissingScope and LimitReached."""
        caller = caller_of(token) or _user(token)
        if caller is None:
            refused(Kind.API_KEY, request)
            limit_failures(request)
            return None
        if self._scope not in caller.scopes or (isinstance(caller, User) and not self._users):
            refused(Kind.SCOPE, request)
            raise MissingScope(self._scope, caller=caller)
        _limit_calls(request, caller)
        return caller


def limit_failures(request: HttpRequest) -> None:
    """Count a call that was refused. Raises LimitReached. The same address is served on with a right key."""
    if seconds := limits.hit("failures-per-address", "api", client_address(request)):
        refused(Kind.LIMIT, request)
        raise limits.LimitReached(seconds)


def _limit_calls(request: HttpRequest, caller: Caller | User) -> None:
    """Count a call. Raises LimitReached."""
    if isinstance(caller, User):
        seconds = limits.hit("calls-per-user", caller.user_id)
    else:
        seconds = limits.hit_ahead("calls-per-key", caller.name)
    if seconds:
        refused(Kind.LIMIT, request)
        raise limits.LimitReached(seconds)


def _user(token: str) -> User | None:
    """Return the user that a token proves, as clients send it to the WebSocket. Raises KeysUnavailableError."""
    try:
        # The issuer of a token may know ids that no feed can have: a token with one lets nobody in.
        return User(user_id=check_user_id(user_of(token)))
    except (UnauthorizedError, InvalidUserIdError):
        return None


def only_user(caller: Caller | User, *, asked: str | None) -> str | None:
    """Return whose things the caller may read: of all that it asks for, for a user the own. Raises OtherUser."""
    if isinstance(caller, Caller):
        return asked
    if asked not in {None, caller.user_id}:
        raise OtherUser
    return caller.user_id


def key_name(request: Called) -> str:
    """Return the name of the caller's API key. A user's token has none."""
    return request.auth.name if isinstance(request.auth, Caller) else ""

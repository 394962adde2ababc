"""Let staff log in: attempts are limited before a password is looked at."""

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, cast

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from prometheus_client import Counter

from access import limits
from access.addresses import client_address
from access.refusals import Kind, refused
from access.staff import known_login

BUSY_SECONDS = 5
"""A client is asked to try again after this time while the process has too many logins to look at."""

LOGINS = Counter("payments_staff_logins_total", "Attempts of staff to log in.", ["outcome"])
for _outcome in ("succeeded", "refused", "limited", "busy"):
    LOGINS.labels(_outcome)  # so that each is exported from the start


class TooManyLogins(Exception):
    """An attempt is not looked at. The client may try again after `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many logins: try again in {seconds} seconds.")
        self.seconds = seconds


class Backend(ModelBackend):
    """Django's backend, which raises TooManyLogins beyond the limits.

    A right password and a wrong one are refused alike then: neither is looked at, and the database is not asked.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """Return the user with this name and password, or None. Raises TooManyLogins.

        Without a request, as in commands, nothing is limited. Without DEBUG the password of development is wrong for all.
        """
        if request is not None and username is not None:
            # Before the database is asked and the password hashed, which is half a second of CPU (docs/decisions/0046).
            seconds = limits.hit("logins-per-address", client_address(request))
            seconds = seconds or limits.hit("logins-per-name", _key(username))
            if seconds:
                raise TooManyLogins(seconds)
        if password == known_login.PASSWORD and not settings.DEBUG:
            return None
        return super().authenticate(request, username, password, **kwargs)


class Limited:
    """Middleware: answers attempts beyond a limit with 429 and a page, and records a change of the own password."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        response = self._get_response(request)
        # Django's admin records what staff change of others, and not this.
        if _changes_password(request) and response.status_code == HTTPStatus.FOUND:
            user = cast("User", request.user)
            LogEntry.objects.log_actions(user.pk, [user], CHANGE, "Changed the own password.")
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Count a change of the own password as a login: a thief of a session could guess the old one there."""
        if not _changes_password(request):
            return None
        seconds = limits.hit("logins-per-name", _key(request.user.get_username()))
        return _limited(request, seconds) if seconds else None

    # Django makes an error page of a view's exception before it could be caught around `_get_response`.
    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the page, or None for other exceptions."""
        return _limited(request, exception.seconds) if isinstance(exception, TooManyLogins) else None


def _changes_password(request: HttpRequest) -> bool:
    match = request.resolver_match
    is_change = match is not None and match.view_name == "admin:password_change"
    return is_change and request.method == "POST" and request.user.is_authenticated


def _limited(request: HttpRequest, seconds: int) -> HttpResponse:
    LOGINS.labels("limited").inc()
    refused(Kind.LIMIT, request)
    return _refusal(429, seconds)


def busy(scope: Mapping[str, Any]) -> HttpResponse:
    """Return the answer to a login for which the process has no room at present, by its ASGI scope."""
    LOGINS.labels("busy").inc()
    refused(Kind.LIMIT, scope)
    return _refusal(503, BUSY_SECONDS)


def _refusal(status: int, seconds: int) -> HttpResponse:
    headers = {"Retry-After": str(seconds), "Cache-Control": "no-store"}
    return HttpResponse(_page(seconds), status=status, headers=headers)


@lru_cache(maxsize=64)
def _page(seconds: int) -> str:
    return render_to_string("access/too_many_logins.html", {"seconds": seconds})


def _key(name: str) -> str:
    """Return a key of bounded length. Names that differ by case alone, or look alike to the database, have the same."""
    return hashlib.sha256(unicodedata.normalize("NFKC", name).casefold().encode(errors="replace")).hexdigest()


def _logged_in(user: AbstractBaseUser, **_: Any) -> None:
    LOGINS.labels("succeeded").inc()
    # Otherwise a member who logs in often would be kept out by right passwords.
    limits.clear("logins-per-name", _key(user.get_username()))


def _failed(request: HttpRequest | None, **_: Any) -> None:
    LOGINS.labels("refused").inc()
    if request is not None:
        refused(Kind.LOGIN, request)


user_logged_in.connect(_logged_in, dispatch_uid="access.staff.logins")
user_login_failed.connect(_failed, dispatch_uid="access.staff.logins")

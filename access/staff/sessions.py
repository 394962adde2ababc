"""Sessions of staff: they end when nobody uses them, and in any case before long.

Django's store in the database, as SESSION_ENGINE.
"""

import re
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse

LONGEST_SECONDS = 12 * 3600
"""A session ends this long after its login."""
NOTED_SECONDS = 60
"""A use is stored at most this often."""
_BEGAN, _USED = "began", "used"
"""Names in a session: times in seconds since 1970."""
_KEY = re.compile("[a-z0-9]{8,40}")


def is_key(text: str) -> bool:
    """Return whether a text can be a session's key, as Django makes them. PostgreSQL refuses some other texts."""
    return bool(_KEY.fullmatch(text))


class SessionStore(DatabaseSessionStore):
    """The store. A session is not loaded once its time is up, whatever cookie the browser sends."""

    def __init__(self, session_key: str | None = None) -> None:
        """Open the session of a browser's cookie. What can be no key is none, and the database is not asked for it."""
        super().__init__(session_key if session_key and is_key(session_key) else None)

    def get_session_cookie_age(self) -> int:
        """Return the seconds that are left of the session: SESSION_COOKIE_AGE, or less near LONGEST_SECONDS."""
        began = self.get(_BEGAN)
        if began is None:
            return settings.SESSION_COOKIE_AGE
        return max(0, min(settings.SESSION_COOKIE_AGE, int(began + LONGEST_SECONDS - time.time())))

    def save(self, must_create: bool = False) -> None:  # noqa: FBT001, FBT002 Django's signature
        """Store the session. Raises OperationalError in an outage, which Django takes for a session that has ended."""
        try:
            super().save(must_create)
        except UpdateError as error:
            # Django raises UpdateError for any database error, and its middleware answers that with 400.
            if isinstance(error.__context__, OperationalError):
                raise error.__context__ from None
            raise


def note_use(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Let a session that a view has used last from now on, as middleware."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        session = request.session
        # Not at each request: it writes a row.
        if session.accessed and _BEGAN in session and time.time() - session.get(_USED, 0) >= NOTED_SECONDS:
            session[_USED] = int(time.time())
        return response

    return middleware


def _begin(request: HttpRequest | None, **_: Any) -> None:
    if request is not None:
        request.session[_BEGAN] = request.session[_USED] = int(time.time())


user_logged_in.connect(_begin, dispatch_uid="access.staff.sessions")

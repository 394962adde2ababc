"""End connections whose permission ends: their token expires, or their user is no longer logged in."""

import asyncio
import logging
import time
from collections.abc import Callable

from django.db import Error as DatabaseError

from database.errors import describe
from database.threads import in_thread
from notifications.auth import logins
from notifications.auth.grants import Grant
from notifications.auth.tokens import LEEWAY_SECONDS
from notifications.batching import QUERY_SIZE

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 20.0
"""Comparisons of logins are this far apart. With one failed read an ended login is still noticed in a minute."""

EXPIRED = "The token has expired."
LOGGED_OUT = "The login has ended."


class Permission:
    """The permission of one connection to stay. When it ends, `revoke` is called with the reason for the client."""

    __slots__ = ("_expiry", "_watch", "revoke", "session_key", "user_id")

    def __init__(self, *, revoke: Callable[[str], None], logins_watch: "LoginsWatch") -> None:
        self.revoke = revoke
        self.user_id = ""
        self.session_key: str | None = None
        self._watch = logins_watch
        self._expiry: asyncio.TimerHandle | None = None

    def renew(self, grant: Grant, *, user_id: str) -> None:
        """Let the connection stay as this grant says, in place of the one before."""
        self.end()
        if grant.expires_at is not None:
            left = grant.expires_at - time.time()
            # A token that is taken after its end, since clocks differ, would end the connection at once.
            delay = left if left > 0 else left + LEEWAY_SECONDS
            self._expiry = asyncio.get_running_loop().call_later(delay, self.revoke, EXPIRED)
        if grant.session_key is not None:
            self.user_id, self.session_key = user_id, grant.session_key
            self._watch.add(self)

    def end(self) -> None:
        """Watch nothing any more."""
        if self._expiry:
            self._expiry.cancel()
        self._watch.discard(self)


class LoginsWatch:
    """Compares the logins of a hub's connections with the database, with few queries for all of them."""

    def __init__(self) -> None:
        self._watched: set[Permission] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, permission: Permission) -> None:
        """Watch the login of a connection."""
        self._watched.add(permission)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def discard(self, permission: Permission) -> None:
        """Forget a connection. With the last one the comparisons end."""
        self._watched.discard(permission)
        if not self._watched and self._task:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                await self._compare()
            except DatabaseError as error:
                reason = describe(error)
                logger.warning("The logins cannot be read: %s", reason, extra={"reason": reason})
            except Exception:
                logger.exception("The logins could not be compared.")

    async def _compare(self) -> None:
        keys = list({one.session_key for one in self._watched if one.session_key})
        for start in range(0, len(keys), QUERY_SIZE):
            chunk = set(keys[start : start + QUERY_SIZE])
            users = await in_thread(logins.read, chunk)
            # Collected after the read: meanwhile connections have ended, and others have begun.
            for one in [one for one in self._watched if one.session_key in chunk]:
                if users.get(one.session_key or "") != one.user_id:
                    one.revoke(LOGGED_OUT)

"""Serve under a prefix, as in https://host/pay/…, where several services share a host name.

A proxy may strip the prefix or leave it, and uvicorn puts its --root-path before each path, while Daphne does not.
Django accepts both. Channels raises for a path without the prefix, and redirects need one with it. So each scope gets
both, as ASGI says: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

import re
from typing import Any

from django.conf import settings

_PREFIX = re.compile(r"(/[\w.~-]+)+", re.ASCII)
"""A valid prefix. Daphne takes one from a header, which any client may send, and redirects would lead where it says."""


class Prefixed:
    """ASGI middleware: makes `path` begin with `root_path`, whether or not the proxy strips the prefix."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request or a WebSocket. Other scopes, such as lifespan, have no path."""
        if "path" in scope:
            scope = scope | _place(scope["path"], scope.get("root_path", ""))
        await self._application(scope, receive, send)


def path_below(scope: Any) -> str:
    """Return the path of a request without the prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _place(path: str, root_path: str) -> dict[str, str]:
    """Return the path with the prefix, and the prefix: PUBLIC_URL's, else the server's."""
    prefix = settings.FORCE_SCRIPT_NAME or root_path.rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        return {"path": path, "root_path": ""}
    # With the slash, because `/payments` does not lie under the prefix `/pay`.
    is_there = path == prefix or path.startswith(f"{prefix}/")
    return {"path": path if is_there else prefix + path, "root_path": prefix}

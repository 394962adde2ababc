"""The service under a prefix, as in https://host/pay/…: one host name is shared by several.

A proxy may strip the prefix or leave it, and servers write down either in their own way: uvicorn puts its --root-path
before each path, Daphne does not. Django takes both, Channels takes a path without the prefix for an error, and redirects
need one with it. So each request is made to say both: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

import re
from typing import Any

from django.conf import settings

_PREFIX = re.compile(r"(/[\w.~-]+)+", re.ASCII)
"""What may be a prefix. Daphne takes one from a header of whoever sends it, and redirects lead where it says."""


class Prefixed:
    """An ASGI application around another, for which `path` begins with `root_path`, wherever the proxy has left them."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request or a WebSocket at its place. A server's own events, such as lifespan's, have none."""
        if "path" in scope:
            scope = scope | _place(scope["path"], scope.get("root_path", ""))
        await self._application(scope, receive, send)


def _place(path: str, root_path: str) -> dict[str, str]:
    """Return the path with the prefix, and the prefix: that of PUBLIC_URL, else the server's."""
    prefix = settings.FORCE_SCRIPT_NAME or root_path.rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        return {"path": path, "root_path": ""}
    is_there = path == prefix or path.startswith(f"{prefix}/")
    return {"path": path if is_there else prefix + path, "root_path": prefix}

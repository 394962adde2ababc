"""Serve static files before Django: a file needs no thread, no database and no session."""

from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from servestatic import ServeStaticASGI  # type: ignore[import-untyped]  # has no stubs

from payments_project.middleware.prefix import path_below

PREFIX = "/static/"


class StaticFiles:
    """ASGI middleware: serves the files under PREFIX, and passes on all other requests."""

    def __init__(self, application: Any) -> None:
        self._application = application
        # With DEBUG a changed file shows at once. Otherwise all files are found once, at the start.
        self._files = ServeStaticASGI(None, autorefresh=settings.DEBUG, max_age=0 if settings.DEBUG else 60)
        for root, prefix in _folders():
            self._files.add_files(root, f"{PREFIX}{prefix}")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a file, or pass the request on."""
        path = path_below(scope)
        if path.startswith(PREFIX):
            await self._files(scope | {"path": path}, receive, send)
        else:
            await self._application(scope, receive, send)


def _folders() -> list[tuple[str, str]]:
    """Return the folders of the apps and STATICFILES_DIRS, with their prefixes. The last that has a file wins."""
    found: dict[tuple[str, str], None] = {}
    for finder in get_finders():
        for _, storage in finder.list([]):
            found.setdefault((storage.location, getattr(storage, "prefix", None) or ""))
    # Django takes the first of two files with one name, and ServeStatic the last.
    return list(reversed(found))

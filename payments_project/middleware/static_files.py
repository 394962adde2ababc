"""Static files, in development as in production: one that is not there is not found."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from servestatic.middleware import ServeStaticMiddleware  # type: ignore[import-untyped]  # has no stubs
from servestatic.responders import MissingFileError  # type: ignore[import-untyped]  # has no stubs


class StaticFilesMiddleware(ServeStaticMiddleware):  # type: ignore[misc]  # has no stubs
    """ServeStatic's, which with DEBUG raises for a missing file: a 500 with a traceback, and no setting for it."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase
        try:
            response = await super().__call__(request)
        except MissingFileError:
            response = await self.get_response(request)
        return response

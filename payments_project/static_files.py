"""Static files, in development as in production: one that is not there is not found."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from servestatic.middleware import ServeStaticMiddleware
from servestatic.responders import MissingFileError


class StaticFilesMiddleware(ServeStaticMiddleware):
    """ServeStatic's, which with DEBUG raises for a missing file: a 500 with a traceback, and no setting for it."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            return await super().__call__(request)
        except MissingFileError:
            return await self.get_response(request)

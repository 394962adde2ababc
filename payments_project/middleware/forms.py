"""Refuse forms in another character set than UTF-8, which no page of the service sends.

Django fails to read some of them. Its error page then reads the form once more, for the token against forgery, and fails
again: each such request was answered with 500, and a traceback of tracebacks.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from access.refusals import Kind, refused

_FORMS = {"application/x-www-form-urlencoded", "multipart/form-data"}


def utf8_forms(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Let forms in UTF-8 pass, as middleware, and all that is no form."""

    def checked(request: HttpRequest) -> HttpResponse:
        charset = (request.content_params or {}).get("charset", "utf-8")
        if request.content_type not in _FORMS or charset.lower() in {"utf-8", "utf8"}:
            return get_response(request)
        refused(Kind.REQUEST, request)
        return HttpResponse("Send the form in UTF-8.\n", content_type="text/plain; charset=utf-8", status=400)

    return checked

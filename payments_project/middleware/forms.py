"""Refuse forms and addresses of pages that Django fails on, and that no page of the service sends.

Forms in another character set than UTF-8: Django fails to read some of them. Its error page then reads the form once more,
for the token against forgery, and fails again. And NUL characters: Django looks for them in fields of forms alone, and
PostgreSQL stores and compares none. Each such request was answered with 500, and a traceback.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from access.refusals import Kind, refused
from payments_project.middleware.outages import FOR_PROGRAMS

_FORMS = {"application/x-www-form-urlencoded", "multipart/form-data"}


def readable_forms(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Let forms in UTF-8 without NUL characters pass, as middleware, and all that is no form."""

    def checked(request: HttpRequest) -> HttpResponse:
        fault = _fault(request)
        if not fault:
            return get_response(request)
        refused(Kind.REQUEST, request)
        return HttpResponse(f"{fault}\n", content_type="text/plain; charset=utf-8", status=400)

    return checked


def _fault(request: HttpRequest) -> str:
    """Say what to send instead; empty if nothing is wrong."""
    is_form = request.content_type in _FORMS
    charset = (request.content_params or {}).get("charset", "utf-8")
    if is_form and charset.lower() not in {"utf-8", "utf8"}:
        return "Send the form in UTF-8."
    # The interfaces of programs say themselves which of their fields is wrong.
    if request.path_info.startswith(FOR_PROGRAMS):
        return ""
    has_nul = "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", "")
    if has_nul or (is_form and any("\0" in text for _, texts in request.POST.lists() for text in texts)):
        return "Send no NUL characters."
    return ""

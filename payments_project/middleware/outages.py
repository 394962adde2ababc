"""Answer 503 where a page cannot be served because the database does not answer, only reads, or has no room.

Django would answer 500, and log a traceback for each request. An error in a middleware reaches no other middleware:
Django makes a page of it first, and sends a signal before that.
"""

import sys
from collections.abc import Callable
from typing import Any

from django.core.signals import got_request_exception
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from database.errors import log_outage
from payments.api.errors import MESSAGES, RETRY_AFTER_SECONDS

FOR_PROGRAMS = ("/api/", "/webhooks/", "/v1/", "/v2/")
_ERROR = "payments_project.outage"
"""The key of request.META for the error."""


def outages(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Replace Django's error page by 503 with Retry-After if the database caused it, as middleware."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        error = request.META.pop(_ERROR, None)
        if error is None:
            return response
        log_outage(error)
        return _refusal(request)

    return middleware


def _refusal(request: HttpRequest) -> HttpResponse:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS), "Cache-Control": "no-store"}
    message = MESSAGES["unavailable"]
    if request.path_info.startswith(FOR_PROGRAMS):
        return JsonResponse(
            {"error": {"code": "unavailable", "message": message}}, status=503, headers=headers
        )
    if "text/html" not in request.headers.get("Accept", ""):  # not a browser
        return HttpResponse(
            f"{message}\n", content_type="text/plain; charset=utf-8", status=503, headers=headers
        )
    return HttpResponse(render_to_string("503.html"), status=503, headers=headers)


def _note(*, request: HttpRequest, **_: Any) -> None:
    """Note the exception that Django is about to make a page of."""
    # The signal passes no exception, and is sent while Django handles it.
    error = sys.exception()
    if isinstance(error, OperationalError):
        request.META[_ERROR] = error


got_request_exception.connect(_note, dispatch_uid="payments_project.middleware.outages")

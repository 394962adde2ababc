"""Refuse requests for a host name outside ALLOWED_HOSTS, and name the host and the setting.

Django would answer with a bare 400, or with a traceback if DEBUG is on, and log a traceback.
"""

import logging
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

logger = logging.getLogger(__name__)

NAME_MAX = 100
"""Characters of a host name that are shown and logged: a stranger may send anything."""
_FOR_PROGRAMS = ("/api/", "/webhooks/", "/v1/")


def known_hosts(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Let requests for one of ALLOWED_HOSTS pass, as middleware."""
    return lambda request: _refuse_unknown(request) or get_response(request)


def _refuse_unknown(request: HttpRequest) -> HttpResponse | None:
    try:
        request.get_host()
    except DisallowedHost:
        name = ascii(request.META.get("HTTP_HOST", ""))[1:-1][:NAME_MAX]
        logger.warning(
            "A request for the host %s was refused. If that is this service, add it to ALLOWED_HOSTS.", name
        )
        return _refusal(request, name)
    return None


def _refusal(request: HttpRequest, name: str) -> HttpResponse:
    message = f"This service does not answer to the host {name}. If it should, add it to ALLOWED_HOSTS."
    if request.path_info.startswith(_FOR_PROGRAMS):
        return JsonResponse({"error": {"code": "unknown_host", "message": message}}, status=400)
    if "text/html" not in request.headers.get("Accept", ""):  # not a browser
        return HttpResponse(f"{message}\n", content_type="text/plain; charset=utf-8", status=400)
    host = name.partition(":")[0] if not name.startswith("[") else name.partition("]")[0] + "]"
    shown = {"name": name, "setting": ",".join([*settings.ALLOWED_HOSTS, host]) if settings.DEBUG else ""}
    return render(request, "unknown_host.html", shown, status=400)

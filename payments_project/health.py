"""Answer health checks and Prometheus."""

from django.db import DatabaseError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from access.callers import bearer, caller_of
from access.limits import LimitReached
from access.refusals import Kind, refused
from access.scopes import Scope
from notifications.delivery import hub
from payments.api.auth import limit_failures


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 a view's signature
    """Answer 200 while the process serves."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 a view's signature
    """Answer 200 while the database takes writes and the process is not about to end, else 503.

    Redis does not count: without it the service works, and notifications are a second late.
    """
    if hub.is_draining():
        return JsonResponse({"status": "draining"}, status=503)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SHOW transaction_read_only" if connection.vendor == "postgresql" else "SELECT 'off'"
            )
            if cursor.fetchone() != ("off",):
                return JsonResponse({"status": "unavailable", "database": "read-only"}, status=503)
    except DatabaseError:
        return JsonResponse({"status": "unavailable", "database": "unreachable"}, status=503)
    return JsonResponse({"status": "ok", "database": "ok"})


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return this process's counters in Prometheus' text format, to a caller whose API key has the scope for it."""
    try:
        caller = caller_of(bearer(request.headers.get("Authorization", "")))
    except OperationalError:
        text = "The database did not answer, which knows the key. A key of API_KEYS works meanwhile.\n"
        return HttpResponse(text, status=503, content_type="text/plain")
    if caller is None:
        refused(Kind.API_KEY, request)
        try:
            limit_failures(request)
        except LimitReached as error:
            return HttpResponse(
                f"{error}\n",
                status=429,
                headers={"Retry-After": str(error.seconds)},
                content_type="text/plain",
            )
        text = "Send the header `Authorization: Bearer KEY`.\n"
        response = HttpResponse(text, status=401, content_type="text/plain")
        response["WWW-Authenticate"] = "Bearer"
        return response
    if Scope.METRICS_READ not in caller.scopes:
        refused(Kind.SCOPE, request)
        text = f"missing_scope: send a key with the scope {Scope.METRICS_READ}.\n"
        return HttpResponse(text, status=403, content_type="text/plain")
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)

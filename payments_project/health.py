"""Answer health checks and Prometheus."""

from django.db import DatabaseError, OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from access.api_keys.callers import bearer, caller_of
from access.api_keys.scopes import Scope
from access.limits import LimitReached
from access.refusals import Kind, refused
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
        takes_writes = (
            _postgresql_takes_writes() if connection.vendor == "postgresql" else _sqlite_takes_writes()
        )
    except DatabaseError:
        return JsonResponse({"status": "unavailable", "database": "unreachable"}, status=503)
    if not takes_writes:
        return JsonResponse({"status": "unavailable", "database": "read-only"}, status=503)
    return JsonResponse({"status": "ok", "database": "ok"})


def _postgresql_takes_writes() -> bool:
    with connection.cursor() as cursor:
        # SELECT 1 would work on a server that only reads, too.
        cursor.execute("SHOW transaction_read_only")
        return bool(cursor.fetchone() == ("off",))


def _sqlite_takes_writes() -> bool:
    """Begin to write, and write nothing. A lock that another holds is waited for by nobody: it will be given up."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        (patience,) = cursor.fetchone()
        # A probe has little time, and the default here is five seconds.
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            with transaction.atomic():  # BEGIN IMMEDIATE
                return True
        except OperationalError as error:
            name = getattr(error.__cause__, "sqlite_errorname", "")
            if name.startswith("SQLITE_READONLY"):
                return False
            if name.startswith("SQLITE_BUSY"):
                return True
            raise
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {patience}")


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
        # A 401 has to say how to authenticate (RFC 9110, section 15.5.2).
        response["WWW-Authenticate"] = "Bearer"
        return response
    if Scope.METRICS_READ not in caller.scopes:
        refused(Kind.SCOPE, request)
        text = f"missing_scope: send a key with the scope {Scope.METRICS_READ}.\n"
        return HttpResponse(text, status=403, content_type="text/plain")
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)

"""Serve Stripe's API over HTTP: authenticate, check, run, respond in Stripe's shape."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.db import OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from stripe_sandbox import ids
from stripe_sandbox.api import faults, idempotency
from stripe_sandbox.api.access import authenticate, check_headers
from stripe_sandbox.api.expansion import expand
from stripe_sandbox.api.faults import Fault
from stripe_sandbox.api.form import Form, decode
from stripe_sandbox.api.parameters import API_VERSION, check
from stripe_sandbox.api.responses import ApiResponse
from stripe_sandbox.checkout import lifecycle
from stripe_sandbox.errors import ApiError, unknown_url
from stripe_sandbox.events.emit import Origin
from stripe_sandbox.timing import RETRY_AFTER_SECONDS
from stripe_sandbox.validation import Tree, check_supported

logger = logging.getLogger(__name__)

MAX_BODY = 256 * 1024
MAX_PATH = 200
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A checked request: typed parameters, the id in its path, and the origin of its events."""

    params: dict[str, Any]
    stripe_id: str
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What a method of a URL does. `description` is Stripe's, of the parameters."""

    description: type
    supported: Tree
    run: Callable[[Call], dict[str, Any]]


def operation(description: type, supported: Tree) -> Callable[[Callable[[Call], dict[str, Any]]], Operation]:
    """Return a decorator that turns a function into an operation."""
    return lambda run: Operation(description=description, supported=supported, run=run)


def serve(**operations: Operation) -> Callable[..., HttpResponse]:
    """Return the view of a URL. The names of `operations` are HTTP methods."""

    @csrf_exempt
    def view(request: HttpRequest, stripe_id: str = "", **_: str) -> HttpResponse:
        request_id = ids.request_id()
        try:
            answer = _answer(request, operations.get(str(request.method)), stripe_id, request_id)
        except ApiError as error:
            answer = ApiResponse.refusal(error, request_id=request_id)
        except OperationalError as error:
            logger.warning("The sandbox cannot use its database: %r", error)
            answer = ApiResponse.failure(request_id=request_id)
        except Exception:
            logger.exception("A request to the sandbox failed: %s", request_id)
            answer = ApiResponse.failure(request_id=request_id)
        return _response(request, answer, request_id)

    return view


def _answer(request: HttpRequest, called: Operation | None, stripe_id: str, request_id: str) -> ApiResponse:
    authenticate(request)
    # After the key is checked, so that a stranger uses up no failure.
    planned = faults.take()
    if planned.fault == Fault.SLOW:
        time.sleep(planned.delay)
    if planned.fault == Fault.CUT:
        faults.cut(request)
        return ApiResponse.failure(request_id=request_id)  # which the client does not get
    if planned.fault == Fault.RATE_LIMITED:
        raise faults.too_many()
    answer = _work(request, called, stripe_id, request_id, breaks=planned.fault == Fault.ERROR)
    if planned.fault == Fault.LOST:
        faults.cut(request)
    return answer


def _work(
    request: HttpRequest, called: Operation | None, stripe_id: str, request_id: str, *, breaks: bool
) -> ApiResponse:
    """Run the operation, once for each idempotency key. `breaks`: do nothing and respond 500."""
    check_headers(request)
    if called is None or "\x00" in request.path or len(request.path) > MAX_PATH:
        raise unknown_url(str(request.method), request.path)
    form = _read(request)
    key = request.headers.get("Idempotency-Key", "") if request.method == "POST" else ""
    # The worker may be a second late, and a session that is over must not look open.
    lifecycle.expire_overdue()

    def run() -> ApiResponse:
        if breaks:
            return ApiResponse.failure(request_id=request_id)
        params = check(form, called.description)
        check_supported(params, called.supported)
        paths = params.pop("expand", [])
        origin = Origin(request_id=request_id, idempotency_key=key or None)
        rendered = called.run(Call(params=params, stripe_id=stripe_id, origin=origin))
        return ApiResponse.of(expand(rendered, paths), request_id=request_id)

    if key:
        return idempotency.respond_once(key=key, path=request.path, form=form, request_id=request_id, run=run)
    # A refusal in the middle must leave neither a change nor an event.
    with transaction.atomic():
        return run()


def _read(request: HttpRequest) -> Form:
    """Return the parameters of query string and body. Read at most MAX_BODY bytes."""
    encoded = request.META.get("QUERY_STRING", "").encode()
    if request.method == "POST":
        # One byte more shows that there is more.
        body = request.read(MAX_BODY + 1)
        if len(body) > MAX_BODY:
            raise ApiError(f"Invalid request: the body has more than {MAX_BODY} bytes.", status=413)
        if body and request.content_type != _FORM:
            raise ApiError(f"Invalid request (check that your POST content type is {_FORM}).")
        encoded = b"&".join(part for part in (encoded, body) if part)
    return decode(encoded)


def _response(request: HttpRequest, answer: ApiResponse, request_id: str) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status, content_type="application/json")
    response["Request-Id"] = request_id
    response["Stripe-Version"] = API_VERSION
    response["Cache-Control"] = "no-cache, no-store"
    if request.method == "POST" and (key := request.headers.get("Idempotency-Key")):
        response["Idempotency-Key"] = key[: idempotency.MAX_KEY]
        response["Original-Request"] = answer.request_id
        if answer.request_id != request_id:
            response["Idempotent-Replayed"] = "true"
    if request.method == "POST":  # a key in use is soon free; any other response stays the same
        response["Stripe-Should-Retry"] = "true" if answer.status == HTTPStatus.CONFLICT else "false"
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        response["Stripe-Rate-Limited-Reason"] = "global-rate"
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if answer.status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Basic realm="Stripe"'
    return response

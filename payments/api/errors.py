"""How the HTTP API says no: for each error its status, its code, and a sentence that says what to send instead."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja.errors import AuthenticationError, HttpError, ValidationError

from bulk.errors import describe
from payments.checkout import cancel, create, refundable
from payments.models import Payment
from payments.stripe import gateway

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 5
"""When to send a request again, where nobody knows better."""


class IdempotencyKeyRequired(Exception):
    """The request pays money out, and came without an Idempotency-Key."""


def _refuse(status: int, code: str, message: str, **more: Any) -> HttpResponse:
    return JsonResponse({"error": {"code": code, "message": message, **more}}, status=status)


def _unauthorized(request: HttpRequest, error: AuthenticationError) -> HttpResponse:  # noqa: ARG001
    response = _refuse(
        401, "unauthorized", "Send the header `Authorization: Bearer KEY` with one of API_KEYS."
    )
    response["WWW-Authenticate"] = "Bearer"
    return response


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:  # noqa: ARG001
    fields = [
        {
            "field": ".".join(
                str(part) for part in problem["loc"] if part not in {"body", "query", "header"}
            ),
            "message": problem["msg"].removeprefix("Value error, "),
        }
        for problem in error.errors
    ]
    message = "; ".join(f"{f['field']}: {f['message']}" if f["field"] else f["message"] for f in fields)
    return _refuse(422, "invalid_request", message, fields=fields)


def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:  # noqa: ARG001
    return _refuse(error.status_code, "invalid_request", str(error))


def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:  # noqa: ARG001
    return _refuse(413, "too_large", "Send a body of at most 1 MiB.")


def _too_many_fields(request: HttpRequest, error: TooManyFieldsSent) -> HttpResponse:  # noqa: ARG001
    return _refuse(400, "invalid_request", "Send at most 1,000 parameters.")


def log_outage(error: OperationalError) -> None:
    """Say, once a minute, what a request met of the database."""
    logger.error("The database did not answer: %s", describe(error))


def _no_database(request: HttpRequest, error: OperationalError) -> HttpResponse:  # noqa: ARG001
    log_outage(error)
    response = _refuse(503, "unavailable", "The database did not answer. Send the same request again.")
    response["Retry-After"] = str(_RETRY_SECONDS)
    return response


def _not_found(request: HttpRequest, error: Payment.DoesNotExist) -> HttpResponse:  # noqa: ARG001
    return _refuse(404, "not_found", "There is no payment with this id.")


def _key_required(request: HttpRequest, error: IdempotencyKeyRequired) -> HttpResponse:  # noqa: ARG001
    message = (
        "A refund pays out, so send the header `Idempotency-Key` with a value of your own for each refund. "
        "The same request with the same key, sent again, is the same refund."
    )
    return _refuse(400, "idempotency_key_required", message)


def _key_reused(request: HttpRequest, error: create.IdempotencyKeyReused) -> HttpResponse:  # noqa: ARG001
    message = "This Idempotency-Key came with another request before: send a new key with a new request."
    return _refuse(409, "idempotency_key_reused", message)


def _ride_has_payment(request: HttpRequest, error: create.RideHasPayment) -> HttpResponse:  # noqa: ARG001
    return _refuse(409, "ride_has_payment", str(error), paymentId=str(error.payment.pk))


def _not_cancelable(request: HttpRequest, error: cancel.NotCancelable) -> HttpResponse:  # noqa: ARG001
    return _refuse(409, "not_cancelable", str(error))


def _not_refundable(request: HttpRequest, error: refundable.NotRefundable) -> HttpResponse:  # noqa: ARG001
    return _refuse(409, "not_refundable", str(error))


def _refused(request: HttpRequest, error: gateway.StripeRefused) -> HttpResponse:  # noqa: ARG001
    return _refuse(502, "stripe_refused", f"Stripe refused: {error}", stripeCode=error.code)


def _unavailable(request: HttpRequest, error: gateway.StripeUnavailable) -> HttpResponse:  # noqa: ARG001
    message = "Stripe did not answer. Send the same request again: nothing will be done twice."
    response = _refuse(503, "stripe_unavailable", message)
    response["Retry-After"] = str(error.retry_after or _RETRY_SECONDS)
    return response


HANDLERS: Mapping[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
    AuthenticationError: _unauthorized,
    ValidationError: _invalid,
    HttpError: _http_error,
    RequestDataTooBig: _too_large,
    TooManyFieldsSent: _too_many_fields,
    OperationalError: _no_database,
    Payment.DoesNotExist: _not_found,
    IdempotencyKeyRequired: _key_required,
    create.IdempotencyKeyReused: _key_reused,
    create.RideHasPayment: _ride_has_payment,
    cancel.NotCancelable: _not_cancelable,
    refundable.NotRefundable: _not_refundable,
    gateway.StripeRefused: _refused,
    gateway.StripeUnavailable: _unavailable,
}

"""Turn each error into a response: a status, a code, and a sentence that says what to send instead."""

from collections.abc import Callable, Mapping
from typing import Any, Literal
from uuid import UUID

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja.errors import AuthenticationError, HttpError, ValidationError
from pydantic import BaseModel, Field

from access.limits import LimitReached
from database.errors import log_outage
from notifications.auth.grants import KeysUnavailableError
from payments.api.auth import MissingScope, OtherUser
from payments.checkout import cancel, create, refundable
from payments.models import Payment
from payments.stripe import gateway

NAME_MAX = 100
"""Characters of the name of a wrong field: the client chooses it."""
RETRY_AFTER_SECONDS = 5
"""When to repeat a request, unless Stripe says when."""
MESSAGES = {
    "unauthorized": "Send the header `Authorization: Bearer KEY` with an API key that has neither ended nor been revoked.",
    "other_user": "The token is another user's: it reads what belongs to its own user and nothing else.",
    "too_large": "Send a body of at most 1 MiB.",
    "unavailable": "The database did not answer. Send the same request again.",
    "not_found": "There is no payment with this id.",
    "idempotency_key_required": "A refund pays out, so send the header `Idempotency-Key` with a value of your own for "
    "each refund. The same request with the same key, sent again, is the same refund.",
    "idempotency_key_reused": "This Idempotency-Key came with another request before: send a new key with a new request.",
    "stripe_unavailable": "Stripe did not answer. Send the same request again: nothing will be done twice.",
}
"""The messages that are always the same, by code. The others are the errors' own."""

Handler = Callable[[HttpRequest, Any], HttpResponse]


class Problem(BaseModel):
    """An error."""

    code: str = Field(description="For programs.", examples=["ride_has_payment"])
    message: str = Field(description="For people: what is wrong, and what to send instead.")


class FieldProblem(BaseModel):
    """An error of one field."""

    field: str
    message: str


class InvalidRequest(Problem):
    """An error of the request's fields."""

    code: Literal["invalid_request"] = "invalid_request"
    fields: list[FieldProblem]


class RideConflict(Problem):
    """The error of a ride that has a payment already."""

    payment_id: UUID = Field(serialization_alias="paymentId")


class ErrorOut(BaseModel):
    """The body of every error."""

    error: InvalidRequest | RideConflict | Problem


class IdempotencyKeyRequired(Exception):
    """The request pays money out, and came without an Idempotency-Key."""


def _refuse(
    status: int, code: str, message: str = "", *, headers: Mapping[str, str] | None = None, **more: Any
) -> HttpResponse:
    content = {"code": code, "message": message or MESSAGES[code], **more}
    return JsonResponse({"error": content}, status=status, headers=headers)


def _name(path: tuple[Any, ...]) -> str:
    """Return a field's name. A name that the client made up is cut."""
    return ".".join(str(part) for part in path if part not in {"body", "query", "header"})[:NAME_MAX]


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    fields = [
        {
            "field": _name(problem["loc"]),
            # pydantic puts these words before the text of our validators.
            "message": problem["msg"].removeprefix("Value error, "),
        }
        for problem in error.errors
    ]
    message = "; ".join(f"{f['field']}: {f['message']}" if f["field"] else f["message"] for f in fields)
    return _refuse(422, "invalid_request", message, fields=fields)


def _no_database(request: HttpRequest, error: OperationalError) -> HttpResponse:
    log_outage(error)
    return _refuse(503, "unavailable", headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _no_stripe(request: HttpRequest, error: gateway.StripeUnavailable) -> HttpResponse:
    seconds = error.retry_after or RETRY_AFTER_SECONDS
    return _refuse(503, "stripe_unavailable", headers={"Retry-After": str(seconds)})


def _refused(request: HttpRequest, error: gateway.StripeError) -> HttpResponse:
    return _refuse(502, "stripe_refused", f"Stripe refused: {error}", stripeCode=error.code)


HANDLERS: Mapping[type[Exception], Handler] = {
    AuthenticationError: lambda *_: _refuse(401, "unauthorized", headers={"WWW-Authenticate": "Bearer"}),
    LimitReached: lambda _, error: _refuse(
        429, "rate_limited", str(error), headers={"Retry-After": str(error.seconds)}
    ),
    MissingScope: lambda _, error: _refuse(403, "missing_scope", str(error), scope=error.scope.value),
    OtherUser: lambda *_: _refuse(403, "other_user"),
    # The token may be good: what is missing is the issuer's key set, so it is no 401.
    KeysUnavailableError: lambda *_: _refuse(
        503, "unavailable", headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
    ),
    ValidationError: _invalid,
    HttpError: lambda _, error: _refuse(error.status_code, "invalid_request", str(error)),
    RequestDataTooBig: lambda *_: _refuse(413, "too_large"),
    TooManyFieldsSent: lambda *_: _refuse(400, "invalid_request", "Send at most 1,000 parameters."),
    OperationalError: _no_database,
    Payment.DoesNotExist: lambda *_: _refuse(404, "not_found"),
    IdempotencyKeyRequired: lambda *_: _refuse(400, "idempotency_key_required"),
    create.IdempotencyKeyReused: lambda *_: _refuse(409, "idempotency_key_reused"),
    create.RideHasPayment: lambda _, error: _refuse(
        409, "ride_has_payment", str(error), paymentId=str(error.payment.pk)
    ),
    cancel.NotCancelable: lambda _, error: _refuse(409, "not_cancelable", str(error)),
    refundable.NotRefundable: lambda _, error: _refuse(409, "not_refundable", str(error)),
    gateway.StripeRefused: _refused,
    gateway.StripeKeyRefused: _refused,
    gateway.StripeUnavailable: _no_stripe,
}

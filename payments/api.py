"""The HTTP API of the ride's backend."""

import base64
import logging
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Body, Header, NinjaAPI, Query, Router
from ninja import Status as Answer
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.parser import Parser
from ninja.security import HttpBearer

from payments import checkout, gateway, refunds
from payments.models import Payment, StatusChange
from payments.schemas import (
    ErrorOut,
    NewPayment,
    NewRefund,
    PaymentOut,
    PaymentPage,
    RefundOut,
    RideId,
    UserId,
)
from payments.status import Status

logger = logging.getLogger(__name__)


class ApiKey(HttpBearer):
    """One of settings.API_KEYS, compared in constant time."""

    def __call__(self, request: HttpRequest) -> str | None:
        """Return who asks, or None. ninja's own would log a header that is not as it should be, key and all."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return self.authenticate(request, token.strip()) if scheme.lower() == "bearer" else None

    def authenticate(self, request: HttpRequest, token: str) -> str | None:  # noqa: ARG002 ninja's signature
        given = token.encode()
        matches = [secrets.compare_digest(given, key.encode()) for key in settings.API_KEYS]
        return "backend" if any(matches) else None


class _Parser(Parser):
    """Let an absent body be an empty one: a refund of the whole needs none."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        return super().parse_body(request) if request.body else {}


api = NinjaAPI(
    title="Payments",
    version="1",
    description="Ask for a ride's payment; the rider's WebSocket gets the link and every later status.",
    auth=ApiKey(),
    docs_url="/docs",
    openapi_url="/openapi.json",
    parser=_Parser(),
)

router = Router(by_alias=True)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IdempotencyKey = Annotated[
    str | None,
    Header(
        default=None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same body is the same request, however often it is sent.",
    ),
]
_REFUSALS = dict.fromkeys((401, 404, 409, 422, 502, 503), ErrorOut)


@router.post("/payments", response={201: PaymentOut, **_REFUSALS}, summary="Ask for a payment")
def create_payment(
    request: HttpRequest,  # noqa: ARG001 ninja's signature
    *,
    body: NewPayment,
    idempotency_key: _IdempotencyKey = None,
) -> Answer[PaymentOut]:
    """Create a Checkout Session and hand its link to the user.

    On 502 and 503 the payment is kept: send the same request again to complete it.
    """
    order = checkout.Order(
        ride_id=body.ride_id,
        user_id=body.user_id,
        amount=body.amount,
        currency=body.currency.lower(),
        description=body.description,
        success_url=body.success_url or "",
        cancel_url=body.cancel_url or "",
    )
    payment = checkout.start(order=order, idempotency_key=idempotency_key)
    return Answer(201, PaymentOut.as_created(payment))


@router.get("/payments", response={200: PaymentPage, **_REFUSALS}, summary="List payments")
def list_payments(
    request: HttpRequest,  # noqa: ARG001 ninja's signature
    *,
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
    ride_id: Annotated[RideId | None, Query(alias="rideId")] = None,
    status: Annotated[Status | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> PaymentPage:
    """Return payments, newest first, page by page."""
    wanted = {"user_id": user_id, "ride_id": ride_id, "status": status}
    payments = Payment.objects.filter(**{k: v for k, v in wanted.items() if v is not None})
    if cursor is not None:
        created_at, payment_id = _read_cursor(cursor)
        payments = payments.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, pk__lt=payment_id))
    page = list(payments.order_by("-created_at", "-pk")[: limit + 1])
    more = len(page) > limit
    page = page[:limit]
    return PaymentPage(
        payments=[PaymentOut.of(payment) for payment in page],
        next_cursor=_write_cursor(page[-1]) if more else None,
    )


@router.get("/payments/{uuid:payment_id}", response={200: PaymentOut, **_REFUSALS}, summary="Read a payment")
def read_payment(request: HttpRequest, payment_id: UUID) -> PaymentOut:  # noqa: ARG001 ninja's signature
    """Return the payment as it is now."""
    return PaymentOut.of(Payment.objects.get(pk=payment_id))


@router.post(
    "/payments/{uuid:payment_id}/cancel", response={200: PaymentOut, **_REFUSALS}, summary="Cancel a payment"
)
def cancel_payment(request: HttpRequest, payment_id: UUID) -> PaymentOut:  # noqa: ARG001 ninja's signature
    """End an open payment: its link can no longer be paid."""
    return PaymentOut.of(checkout.cancel(payment_id=payment_id, cause=StatusChange.Cause.API))


@router.post(
    "/payments/{uuid:payment_id}/refund", response={201: RefundOut, **_REFUSALS}, summary="Refund a payment"
)
def refund_payment(
    request: HttpRequest,  # noqa: ARG001 ninja's signature
    payment_id: UUID,
    body: Annotated[NewRefund | None, Body()] = None,
    idempotency_key: _IdempotencyKey = None,
) -> Answer[RefundOut]:
    """Give back the whole of a payment, or a part of it."""
    made = refunds.refund(
        payment_id=payment_id,
        amount=body.amount if body else None,
        idempotency_key=idempotency_key,
        cause=StatusChange.Cause.API,
    )
    return Answer(201, RefundOut.of(made))


api.add_router("", router)


def _write_cursor(payment: Payment) -> str:
    place = f"{(payment.created_at - _EPOCH) // timedelta(microseconds=1)} {payment.pk}"
    return base64.urlsafe_b64encode(place.encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        microseconds, payment_id = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
        return _EPOCH + timedelta(microseconds=int(microseconds)), UUID(payment_id)
    except (ValueError, OverflowError):
        raise HttpError(422, "Send `cursor` as the `nextCursor` of the page before.") from None


def _refuse(status: int, code: str, message: str, **more: Any) -> HttpResponse:
    return JsonResponse({"error": {"code": code, "message": message, **more}}, status=status)


@api.exception_handler(AuthenticationError)
def _unauthorized(request: HttpRequest, error: AuthenticationError) -> HttpResponse:  # noqa: ARG001
    response = _refuse(
        401, "unauthorized", "Send the header `Authorization: Bearer KEY` with one of API_KEYS."
    )
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(ValidationError)
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


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:  # noqa: ARG001
    return _refuse(error.status_code, "invalid_request", str(error))


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:  # noqa: ARG001
    return _refuse(413, "too_large", "Send a body of at most 1 MiB.")


@api.exception_handler(OperationalError)
def _no_database(request: HttpRequest, error: OperationalError) -> HttpResponse:  # noqa: ARG001
    logger.error("The database did not answer: %s", type(error).__name__)
    response = _refuse(503, "unavailable", "The database did not answer. Send the same request again.")
    response["Retry-After"] = "5"
    return response


@api.exception_handler(Payment.DoesNotExist)
def _not_found(request: HttpRequest, error: Payment.DoesNotExist) -> HttpResponse:  # noqa: ARG001
    return _refuse(404, "not_found", "There is no payment with this id.")


@api.exception_handler(checkout.IdempotencyKeyReused)
def _key_reused(request: HttpRequest, error: checkout.IdempotencyKeyReused) -> HttpResponse:  # noqa: ARG001
    message = "This Idempotency-Key came with another request before: send a new key with a new request."
    return _refuse(409, "idempotency_key_reused", message)


@api.exception_handler(checkout.RideHasPayment)
def _ride_has_payment(request: HttpRequest, error: checkout.RideHasPayment) -> HttpResponse:  # noqa: ARG001
    return _refuse(409, "ride_has_payment", str(error), paymentId=str(error.payment.pk))


@api.exception_handler(checkout.NotCancelable)
def _not_cancelable(request: HttpRequest, error: checkout.NotCancelable) -> HttpResponse:  # noqa: ARG001
    return _refuse(409, "not_cancelable", str(error))


@api.exception_handler(refunds.NotRefundable)
def _not_refundable(request: HttpRequest, error: refunds.NotRefundable) -> HttpResponse:  # noqa: ARG001
    return _refuse(409, "not_refundable", str(error))


@api.exception_handler(gateway.StripeRefused)
def _refused(request: HttpRequest, error: gateway.StripeRefused) -> HttpResponse:  # noqa: ARG001
    return _refuse(502, "stripe_refused", f"Stripe refused: {error}", stripeCode=error.code)


@api.exception_handler(gateway.StripeUnavailable)
def _unavailable(request: HttpRequest, error: gateway.StripeUnavailable) -> HttpResponse:  # noqa: ARG001
    message = "Stripe did not answer. Send the same request again: nothing will be done twice."
    response = _refuse(503, "stripe_unavailable", message)
    response["Retry-After"] = "5"
    return response

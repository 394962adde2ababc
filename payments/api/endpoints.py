"""The HTTP API of the ride's backend."""

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from ninja import Body, Header, Query, Router
from ninja import Status as Answer
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser
from ninja.security import HttpBearer

from payments.api.errors import HANDLERS, IdempotencyKeyRequired
from payments.api.examples import Api, Page
from payments.api.json_bodies import read_json
from payments.api.schemas import (
    ErrorOut,
    NewPayment,
    NewRefund,
    PaymentOut,
    PaymentPage,
    RefundOut,
    RideId,
    UserId,
)
from payments.checkout import cancel, create, refund
from payments.models import Payment, StatusChange
from payments.reconciliation import on_demand
from payments.status import Status
from payments.stripe.deadline import REQUEST_SECONDS, within


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
    """Read bodies strictly."""

    def parse_body(self, request: HttpRequest) -> Any:
        return read_json(request.body)


api = Api(
    title="Payments",
    version="1",
    description="Ask for a ride's payment; the rider's WebSocket gets the link and every later status.",
    auth=ApiKey(),
    docs=Page({"persistAuthorization": True, "tryItOutEnabled": True}),
    docs_url="/docs",
    openapi_url="/openapi.json",
    parser=_Parser(),
)

router = Router(by_alias=True, tags=["Payments"])
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
_ABSENT_BODY = 'send `{}` to refund all that is left, or an amount such as `{"amount": 500}`'
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
    order = create.Order(
        ride_id=body.ride_id,
        user_id=body.user_id,
        amount=body.amount,
        currency=body.currency.lower(),
        description=body.description,
        success_url=body.success_url or "",
        cancel_url=body.cancel_url or "",
    )
    with within(REQUEST_SECONDS):
        payment = create.start(order=order, idempotency_key=idempotency_key)
    return Answer(201, PaymentOut.as_created(payment))


_FILTERS = ("userId", "rideId", "status", "limit", "cursor")


@router.get("/payments", response={200: PaymentPage, **_REFUSALS}, summary="List payments")
def list_payments(
    request: HttpRequest,
    *,
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
    ride_id: Annotated[RideId | None, Query(alias="rideId")] = None,
    status: Annotated[Status | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> PaymentPage:
    """Return payments, newest first, page by page."""
    _refuse_other_filters(request)
    wanted = {"user_id": user_id, "ride_id": ride_id, "status": status}
    payments = Payment.objects.filter(**{k: v for k, v in wanted.items() if v is not None})
    if cursor is not None:
        created_at, payment_id = _read_cursor(cursor)
        # No index serves the OR: the time beside it is where the index is entered.
        payments = payments.filter(
            Q(created_at__lt=created_at) | Q(pk__lt=payment_id), created_at__lte=created_at
        )
    page = list(payments.order_by("-created_at", "-pk")[: limit + 1])
    more = len(page) > limit
    page = page[:limit]
    return PaymentPage(
        payments=[PaymentOut.of(payment) for payment in page],
        next_cursor=_write_cursor(page[-1]) if more else None,
    )


@router.get("/payments/{uuid:payment_id}", response={200: PaymentOut, **_REFUSALS}, summary="Read a payment")
def read_payment(request: HttpRequest, payment_id: UUID) -> PaymentOut:  # noqa: ARG001 ninja's signature
    """Return the payment as it is now. Of one that Stripe may have finished meanwhile, Stripe is asked."""
    return PaymentOut.of(on_demand.for_reader(Payment.objects.get(pk=payment_id)))


@router.post(
    "/payments/{uuid:payment_id}/cancel", response={200: PaymentOut, **_REFUSALS}, summary="Cancel a payment"
)
def cancel_payment(request: HttpRequest, payment_id: UUID) -> PaymentOut:  # noqa: ARG001 ninja's signature
    """End an open payment: its link can no longer be paid."""
    with within(REQUEST_SECONDS):
        return PaymentOut.of(cancel.cancel(payment_id=payment_id, cause=StatusChange.Cause.API))


@router.post(
    "/payments/{uuid:payment_id}/refund",
    response={201: RefundOut, 400: ErrorOut, **_REFUSALS},
    summary="Refund a payment",
    openapi_extra={"requestBody": {"required": True}},
)
def refund_payment(
    request: HttpRequest,  # noqa: ARG001 ninja's signature
    payment_id: UUID,
    body: Annotated[NewRefund | None, Body()] = None,
    idempotency_key: _IdempotencyKey = None,
) -> Answer[RefundOut]:
    """Give back the whole of a payment, or a part of it. It needs an `Idempotency-Key`: it pays out."""
    if body is None:
        raise ValidationError([{"loc": ("body",), "msg": _ABSENT_BODY}])
    if idempotency_key is None:
        raise IdempotencyKeyRequired
    with within(REQUEST_SECONDS):
        made = refund.refund(
            payment_id=payment_id,
            amount=body.amount,
            payment_intent_id=body.payment_intent_id,
            idempotency_key=idempotency_key,
            cause=StatusChange.Cause.API,
        )
    return Answer(201, RefundOut.of(made))


api.add_router("", router)
for _error, _handler in HANDLERS.items():
    api.add_exception_handler(_error, _handler)


def _refuse_other_filters(request: HttpRequest) -> None:
    """Refuse what ninja would leave out: a filter that is misspelt would show everybody's payments."""
    if any(name not in _FILTERS or len(values) > 1 for name, values in request.GET.lists()):
        raise HttpError(
            422, f"Send each of these parameters once, or not, and no other: {', '.join(_FILTERS)}."
        )


def _write_cursor(payment: Payment) -> str:
    place = f"{(payment.created_at - _EPOCH) // timedelta(microseconds=1)} {payment.pk}"
    return base64.urlsafe_b64encode(place.encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        microseconds, payment_id = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
        return _EPOCH + timedelta(microseconds=int(microseconds)), UUID(payment_id)
    except (ValueError, OverflowError):
        raise HttpError(422, "Send `cursor` as the `nextCursor` of the page before.") from None

"""The operations of the HTTP API."""

from typing import Annotated
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from ninja import Body, Header, Query, Router
from ninja import Status as Response
from ninja.errors import ValidationError

from access.api_keys.scopes import Scope
from payments.api import cursors, users
from payments.api.auth import ApiKey, Called, User, key_name, only_user
from payments.api.errors import HANDLERS, ErrorOut, IdempotencyKeyRequired
from payments.api.examples import Api, Page
from payments.api.json_bodies import StrictParser
from payments.api.schemas import (
    NewPayment,
    NewRefund,
    PaymentOut,
    PaymentPage,
    RefundOut,
    RideId,
    UserId,
)
from payments.api.unknown_fields import refuse_unknown
from payments.checkout import cancel, create, refund
from payments.models import Payment, StatusChange
from payments.reconciliation import on_demand
from payments.status import Status
from payments.stripe.deadline import REQUEST_SECONDS, within

api = Api(
    title="Payments",
    version="1",
    description="Ask for a ride's payment; the rider's WebSocket gets the link and every later status.",
    docs=Page({"persistAuthorization": True, "tryItOutEnabled": True}),
    docs_url="/docs" if settings.API_DOCS else None,
    openapi_url="/openapi.json" if settings.API_DOCS else None,
    parser=StrictParser(),
)
api.add_decorator(refuse_unknown)

router = Router(by_alias=True, tags=["Payments"])
_IdempotencyKey = Annotated[
    str | None,
    Header(
        default=None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same body is the same request, however often the client sends it.",
    ),
]
_ABSENT_BODY = 'send `{}` to refund all that is left, or an amount such as `{"amount": 500}`'
_ERRORS = dict.fromkeys((401, 403, 404, 409, 422, 429, 502, 503), ErrorOut)


_WRITE = ApiKey(Scope.PAYMENTS_WRITE)
_READ = ApiKey(Scope.PAYMENTS_READ, users=True)


@router.post("/payments", auth=_WRITE, response={201: PaymentOut, **_ERRORS}, summary="Ask for a payment")
def create_payment(
    request: Called,
    *,
    body: NewPayment,
    idempotency_key: _IdempotencyKey = None,
) -> Response[PaymentOut]:
    """Create a Checkout Session and send its link to the user. Scope: `payments:write`.

    The answer has the link without the scope `links:read` too: a caller that asks for a payment may have its link.

    After 502 or 503 the payment is kept: send the same request again to complete it.
    """
    order = create.Order(**body.model_dump(exclude_none=True))
    with within(REQUEST_SECONDS):
        payment = create.start(order=order, idempotency_key=idempotency_key, api_key=key_name(request))
    return Response(201, PaymentOut.as_created(payment))


@router.get("/payments", auth=_READ, response={200: PaymentPage, **_ERRORS}, summary="List payments")
def list_payments(
    request: Called,
    *,
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
    ride_id: Annotated[RideId | None, Query(alias="rideId")] = None,
    status: Annotated[Status | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> PaymentPage:
    """Return a page of payments, newest first. Scope: `payments:read`; a user's token lists the user's own."""
    wanted = {"user_id": only_user(request.auth, asked=user_id), "ride_id": ride_id, "status": status}
    payments = Payment.objects.filter(**{k: v for k, v in wanted.items() if v is not None})
    if cursor is not None:
        created_at, payment_id = cursors.read(cursor)
        # No index serves the OR. The condition on the time is for the index.
        payments = payments.filter(
            Q(created_at__lt=created_at) | Q(pk__lt=payment_id), created_at__lte=created_at
        )
    # One row more than is shown says whether there is a next page.
    page = list(payments.order_by("-created_at", "-pk")[: limit + 1])
    more = len(page) > limit
    page = page[:limit]
    return PaymentPage(
        payments=[_seen(request, PaymentOut.of(payment)) for payment in page],
        next_cursor=cursors.write(page[-1]) if more else None,
    )


@router.get(
    "/payments/{uuid:payment_id}",
    auth=_READ,
    response={200: PaymentOut, **_ERRORS},
    summary="Read a payment",
)
def read_payment(request: Called, payment_id: UUID) -> PaymentOut:
    """Return the payment as it is now. If Stripe may have finished it meanwhile, ask Stripe first.

    Scope: `payments:read`; a user's token reads the user's own.
    """
    user_id = only_user(request.auth, asked=None)
    own = {} if user_id is None else {"user_id": user_id}
    return _seen(request, PaymentOut.of(on_demand.for_client(Payment.objects.get(pk=payment_id, **own))))


@router.post(
    "/payments/{uuid:payment_id}/cancel",
    auth=_WRITE,
    response={200: PaymentOut, **_ERRORS},
    summary="Cancel a payment",
)
def cancel_payment(request: Called, payment_id: UUID) -> PaymentOut:
    """Cancel an open payment: its link can no longer be paid. Scope: `payments:write`."""
    with within(REQUEST_SECONDS):
        canceled = cancel.cancel(
            payment_id=payment_id, cause=StatusChange.Cause.API, api_key=key_name(request)
        )
    return _seen(request, PaymentOut.of(canceled))


@router.post(
    "/payments/{uuid:payment_id}/refund",
    auth=ApiKey(Scope.REFUNDS_WRITE),
    response={201: RefundOut, 400: ErrorOut, **_ERRORS},
    summary="Refund a payment",
    openapi_extra={"requestBody": {"required": True}},
)
def refund_payment(
    request: Called,
    payment_id: UUID,
    body: Annotated[NewRefund | None, Body()] = None,
    idempotency_key: _IdempotencyKey = None,
) -> Response[RefundOut]:
    """Refund all or part of a payment. Send an `Idempotency-Key`, because a refund pays money out.

    Scope: `refunds:write`.
    """
    # A request that forgot its body must not pay out all that is left.
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
            api_key=key_name(request),
        )
    answer = RefundOut.of(made)
    _seen(request, answer.payment)
    return Response(201, answer)


api.add_router("", router)
api.add_router("", users.router)
for _error, _handler in HANDLERS.items():
    api.add_exception_handler(_error, _handler)


def _seen(request: Called, payment: PaymentOut) -> PaymentOut:
    """Hide the link from a caller without the scope for it, and the names of API keys from users."""
    if Scope.LINKS_READ not in request.auth.scopes:
        payment.payment_url = None
    if isinstance(request.auth, User):
        payment.created_by = None
    return payment

"""What the API page shows: requests that succeed as they are, and for each error an answer of its own."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Swagger
from ninja.openapi.schema import OpenAPISchema

_REQUESTS: dict[str, dict[str, Any]] = {
    "Ask for a payment": {"rideId": "ride_123", "userId": "user_123", "amount": 1250, "currency": "usd"},
    "Refund a payment": {"amount": 250},
}
"""By the summaries of the operations."""
_ERRORS: dict[str, dict[str, Any]] = {
    "400": {
        "code": "idempotency_key_required",
        "message": "A refund pays out, so send the header `Idempotency-Key` with a value of your own for each refund.",
    },
    "401": {
        "code": "unauthorized",
        "message": "Send the header `Authorization: Bearer KEY` with one of API_KEYS.",
    },
    "404": {"code": "not_found", "message": "There is no payment with this id."},
    "409": {
        "code": "ride_has_payment",
        "message": "Ride 'ride_123' has payment 018f7a2e-5c1b-7d3a-9e64-2b9f0c8d1a55: pending. "
        "Cancel it, or let it end, before asking for another.",
        "paymentId": "018f7a2e-5c1b-7d3a-9e64-2b9f0c8d1a55",
    },
    "422": {
        "code": "invalid_request",
        "message": "amount: Input should be greater than 0",
        "fields": [{"field": "amount", "message": "Input should be greater than 0"}],
    },
    "502": {
        "code": "stripe_refused",
        "message": "Stripe refused: Amount must be no more than $999,999.99",
        "stripeCode": "amount_too_large",
    },
    "503": {"code": "unavailable", "message": "The database did not answer. Send the same request again."},
}
_CONFLICTS: dict[str, dict[str, Any]] = {
    "Cancel a payment": {
        "code": "not_cancelable",
        "message": "The payment is succeeded: only an open payment can be canceled.",
    },
    "Refund a payment": {
        "code": "not_refundable",
        "message": "The payment is pending: only a paid payment can be refunded.",
    },
}
"""What 409 says of operations by which no payment is asked for."""


class Api(NinjaAPI):
    """ninja's, whose own description has one example for all errors: the first shape of their schema."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """Return the description with our examples."""
        schema = super().get_openapi_schema(**options)
        for methods in schema["paths"].values():
            for operation in methods.values():
                _illustrate(operation)
        return schema


def _illustrate(operation: dict[str, Any]) -> None:
    summary = operation["summary"]
    if summary in _REQUESTS:
        operation["requestBody"]["content"]["application/json"]["example"] = _REQUESTS[summary]
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "Idempotency-Key" and summary in _CONFLICTS:
            parameter["example"] = "refund-of-ride_123"
    for status, response in operation["responses"].items():
        if error := (_CONFLICTS.get(summary) if str(status) == "409" else None) or _ERRORS.get(str(status)):
            response["content"]["application/json"]["example"] = {"error": error}


class Page(Swagger):
    """The API page (templates/ninja/swagger.html): requests can be sent at the first click, with DEBUG with a key."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        """Return the page. A key is in it with DEBUG alone, where the terminal shows it too."""
        self.settings["developmentKey"] = next(iter(settings.API_KEYS), "") if settings.DEBUG else ""
        return super().render_page(request, api, **kwargs)

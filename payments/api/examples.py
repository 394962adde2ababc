"""Examples of the API page: requests that succeed as they are, and a response for each error."""

import traceback
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Swagger
from ninja.openapi.schema import OpenAPISchema

from payments.api.errors import MESSAGES


def _fixed(code: str) -> dict[str, Any]:
    return {"code": code, "message": MESSAGES[code]}


_REQUESTS: dict[str, dict[str, Any]] = {
    "Ask for a payment": {"rideId": "ride_123", "userId": "user_123", "amount": 1250, "currency": "usd"},
    "Refund a payment": {"amount": 250},
}
"""By the operations' summaries."""
_ERRORS: dict[str, dict[str, Any]] = {
    "400": _fixed("idempotency_key_required"),
    "401": _fixed("unauthorized"),
    "403": {
        "code": "missing_scope",
        "message": "Send an API key with the scope refunds:write. The key 'ride backend' lacks it.",
        "scope": "refunds:write",
    },
    "404": _fixed("not_found"),
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
    "429": {"code": "rate_limited", "message": "Too many requests. Try again in 17 seconds."},
    "503": _fixed("unavailable"),
}
_ANY_REQUEST = {
    400: ("Bad Request", "bad_request", "The request could not be read: send JSON."),
    405: ("Method Not Allowed", "method_not_allowed", "This address does not take this method."),
    413: ("Content Too Large", "too_large", MESSAGES["too_large"]),
    431: (
        "Request Header Fields Too Large",
        "head_too_large",
        "Send at most 100 header fields, and 32 KiB of them.",
    ),
    500: (
        "Internal Server Error",
        "internal_error",
        "Something broke here. It is logged; send the request again.",
    ),
    503: ("Service Unavailable", "unavailable", MESSAGES["unavailable"]),
}
"""What may become of any request, also before an operation has it: a phrase, a code and a message."""
_CONFLICTS: dict[str, dict[str, Any]] = {
    "Cancel a payment": {
        "code": "not_cancelable",
        "message": "The payment is succeeded: only an open payment can be canceled.",
    },
    "Refund a payment": {
        "code": "not_refundable",
        "message": "The payment is pending: only a paid payment can be refunded.",
    },
    "Mint a user's token": {
        "code": "tokens_not_minted",
        "message": "This service only verifies the tokens of your own issuer: mint them there. "
        "To have them minted here, set NOTIFICATIONS_TOKEN_SECRET.",
    },
}
"""Examples of 409, by summary. The others answer with that of `_ERRORS`."""


class Api(NinjaAPI):
    """Ninja's API with examples. Its own description has one example for all errors, which fits one of them."""

    def on_exception(self, request: HttpRequest, exc: Exception | type[Exception]) -> HttpResponse:
        """Return the answer to an error, and forget what the request brought.

        Ninja keeps the errors of fields in variables of the very frames that they hold: a body of a MiB would stay
        until the garbage collector comes.
        """
        response = super().on_exception(request, exc)
        traceback.clear_frames(exc.__traceback__)
        return response

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Return the OpenAPI description with all answers, and an example for each error.

        It is built once: that takes a second of CPU.
        """
        return self._described(path_prefix or self.get_root_path(path_params or {}))

    @lru_cache(maxsize=4)  # noqa: B019 there is one API, which lasts as long as the process
    def _described(self, path_prefix: str) -> OpenAPISchema:
        schema = super().get_openapi_schema(path_prefix=path_prefix)
        for methods in schema["paths"].values():
            for operation in methods.values():
                _illustrate(operation)
                _complete(operation)
        return schema


def _complete(operation: dict[str, Any]) -> None:
    """Add the answers that any request may get, which ninja knows nothing of."""
    for status, (phrase, code, message) in _ANY_REQUEST.items():
        example = {"error": {"code": code, "message": message}}
        content = {"schema": {"$ref": "#/components/schemas/ErrorOut"}, "example": example}
        described = {"description": phrase, "content": {"application/json": content}}
        operation["responses"].setdefault(status, described)


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
    """The API page (templates/ninja/swagger.html), on which requests can be sent at the first click."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        """Return the page. Fill in a key only with DEBUG, when the terminal shows it too."""
        self.settings["developmentKey"] = next(iter(settings.API_KEYS), "") if settings.DEBUG else ""
        return super().render_page(request, api, **kwargs)

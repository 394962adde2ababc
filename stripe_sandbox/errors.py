"""Refusals in Stripe's shape. Source: https://docs.stripe.com/api/errors and https://docs.stripe.com/error-codes."""

import time
from typing import Any


class ApiError(Exception):
    """An answer that is no 2xx."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type_: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type_
        self.code = code
        self.param = param

    def body(self, *, request_id: str) -> dict[str, Any]:
        """Return the JSON body; `doc_url` explains the code, where there is one.

        `request_log_url` has the shape of Stripe's, whose dashboard knows nothing of this request.
        """
        log = f"https://dashboard.stripe.com/test/logs/{request_id}?t={int(time.time())}"
        error: dict[str, Any] = {"message": self.message, "request_log_url": log, "type": self.type}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = f"https://docs.stripe.com/error-codes/{self.code.replace('_', '-')}"
        if self.param:
            error["param"] = self.param
        return {"error": error}


class NotPossible(ApiError):
    """The state of things forbids it; the message says why, for people."""


def missing(param: str) -> ApiError:
    return ApiError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def no_such(kind: str, stripe_id: str, *, param: str, status: int = 400) -> ApiError:
    """Return the refusal of an unknown id. `param` names it: the parameter's name, or what the path calls it (404)."""
    return ApiError(
        f"No such {kind}: '{stripe_id[:255]}'", status=status, code="resource_missing", param=param
    )


def unknown_url(method: str, path: str) -> ApiError:
    why = "The sandbox answers a part of Stripe's API only."
    if path.endswith("/search"):
        why = "The sandbox does not support search: list the objects, and choose among them."
    elif path.startswith("/v2/"):
        why = "The sandbox does not support version 2 of the API."
    return ApiError(f"Unrecognized request URL ({method}: {path[:255]}). {why}", status=404)

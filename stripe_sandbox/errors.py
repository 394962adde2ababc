"""Errors in Stripe's shape. Source: https://docs.stripe.com/api/errors and https://docs.stripe.com/error-codes."""

import time
from typing import Any


class ApiError(Exception):
    """A response other than 2xx."""

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
        """Return the JSON body. `doc_url` is there if the error has a code.

        `request_log_url` has the shape of Stripe's. Stripe's dashboard does not know this request.
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
    """The object's state does not allow the step. The message says why, for people."""


def missing(param: str) -> ApiError:
    """Return the error of a missing parameter."""
    return ApiError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def no_such(kind: str, stripe_id: str, *, param: str, status: int = 400) -> ApiError:
    """Return the error of an unknown id. `param` is the parameter's name, or the id's name in the path (404)."""
    return ApiError(
        f"No such {kind}: '{stripe_id[:255]}'", status=status, code="resource_missing", param=param
    )


def unknown_url(method: str, path: str) -> ApiError:
    """Return the error of a path or method that the sandbox does not serve."""
    why = "The sandbox answers a part of Stripe's API only."
    if path.endswith("/search"):
        why = "The sandbox does not support search: list the objects, and choose among them."
    elif path.startswith("/v2/"):
        why = "The sandbox does not support version 2 of the API."
    return ApiError(f"Unrecognized request URL ({method}: {path[:255]}). {why}", status=404)

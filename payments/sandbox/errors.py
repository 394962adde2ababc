"""Refusals in Stripe's shape. Source: https://docs.stripe.com/api/errors and https://docs.stripe.com/error-codes."""

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

    def body(self) -> dict[str, Any]:
        """Return the JSON body; `doc_url` explains the code, where there is one."""
        error: dict[str, Any] = {"message": self.message, "type": self.type}
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


def no_such(kind: str, stripe_id: str, *, param: str) -> ApiError:
    """Return the 404 for an id in the path, or the 400 for one in the parameters: `param` is "id" in a path."""
    status = 404 if param == "id" else 400
    return ApiError(
        f"No such {kind}: '{stripe_id[:255]}'", status=status, code="resource_missing", param=param
    )


def unknown_url(method: str, path: str) -> ApiError:
    return ApiError(
        f"Unrecognized request URL ({method}: {path[:255]}). The sandbox answers a part of Stripe's API only.",
        status=404,
    )
